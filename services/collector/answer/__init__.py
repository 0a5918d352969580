"""The answer to an access or portability request: a ZIP with a page, the same data as JSON and as CSV, and what
GDPR Art. 15(1) and (2) want said. Pure: the same facts give the same bytes."""

from services.collector.answer.facts import AnswerFacts, Contribution
from services.collector.answer.writer import AnswerWriter

__all__ = ["AnswerFacts", "AnswerWriter", "Contribution"]
