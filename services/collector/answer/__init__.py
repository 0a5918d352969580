"""The answer to an access or portability request: a ZIP with a page, the same data as JSON and as CSV.

An access has with it what GDPR Art. 15(1) and (2) want said; a portability what it covers, what not, and what its files
mean (Art. 20). Pure: the same facts give the same bytes.
"""

from services.collector.answer.content import ground_for_leaving_out, leaves_nothing_out
from services.collector.answer.facts import AnswerFacts, Contribution, HeldRecord, held
from services.collector.answer.writer import AnswerWriter

__all__ = [
    "AnswerFacts",
    "AnswerWriter",
    "Contribution",
    "HeldRecord",
    "ground_for_leaving_out",
    "held",
    "leaves_nothing_out",
]
