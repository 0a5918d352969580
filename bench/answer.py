"""What an answer costs: CPU microseconds for one of four systems with ten records each, by part.

    python -m bench.answer [--rounds 300] [--profile access]

Warm loops in one process, without Kafka and PostgreSQL; each figure is the best of nine loops, in CPU time of the
process. The registry is the example's, the records have the shapes that the example's systems send.
"""

import argparse
import asyncio
import cProfile
import hashlib
import io
import pstats
import tempfile
import time
import zipfile
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from uuid import UUID, uuid4, uuid5

from obstore.store import ObjectStore

from habeas.contracts import Keyring, Place
from habeas.contracts.artifacts import new_artifact_key, seal_artifact
from habeas.contracts.catalogue import seal_personal
from habeas.contracts.result import Record, ResultPersonal, SummaryItem, TaskFinished
from habeas.contracts.sealing import JsonWebKey, new_key
from services.collector.answer import AnswerFacts, AnswerWriter, Contribution, HeldRecord, held
from services.collector.answer.archive import archive
from services.collector.answer.content import not_covered, sections
from services.collector.answer.data import DataWriter
from services.collector.answer.page import PageWriter
from services.collector.answer.table import to_csv
from services.collector.answer.words import Words
from shared.events import SERVICES, AnswerObject
from shared.objects import open_store
from shared.registry import load_registry

_LOOPS: Final = 9
_REGISTRY: Final = Path(__file__).parents[1] / "registry" / "ale.toml"
_REQUEST: Final = UUID("0d9c1c7e-6f1c-4b5e-9a57-0a7f4d6c2b11")
_LABELS: Final = {
    "billing": {"invoices.number": "Invoice number", "invoices.total": "Total", "account.name": "Your name"},
    "support": {"support_conversations.subject": "Subject", "support_conversations.messages": "What you wrote"},
    "analytics": {"visits.visited_at": "When", "visits.ip": "IP address", "visits.page": "Page"},
    "payments": {"charges.amount": "Amount", "charges.created": "Charged on"},
}


def _invoice(number: int) -> HeldRecord:
    data = {
        "number": f"INV-2025-{number:05}",
        "issued_on": f"2025-{number:02}-01",
        "net": "100.00",
        "vat": "19.00",
        "total": "119.00",
        "currency": "EUR",
        "buyer": "Ana Müller, Lindenstraße 5, 10969 Berlin",
        "lines": "Ale Team, 5 seats",
        "paid": True,
    }
    return HeldRecord(id=f"INV-2025-{number:05}", category="invoices", origin="provided", data=data)


def _conversation(number: int) -> HeldRecord:
    said = "The export of our fonts stops at 40 % since Tuesday.\nCould you have a look? It's <urgent> & annoying."
    messages = [
        {"at": f"2025-03-{number:02}T09:12:00Z", "author": "Ana Müller", "text": said},
        {"at": f"2025-03-{number:02}T10:30:00Z", "author": "Ale Support", "text": "It runs again; thanks for telling."},
    ]
    return HeldRecord(
        id=f"conversation-{number}",
        category="support_conversations",
        origin="provided",
        data={"subject": f"Export stops ({number})", "messages": messages},
    )


def _visit(number: int) -> HeldRecord:
    data = {
        "visited_at": f"2025-06-{number:02}T10:00:00Z",
        "account_id": "acc-1042",
        "visitor_id": "v-7f3a9c",
        "ip": "203.0.113.7",
        "browser": "Firefox 139 on Linux",
        "page": f"/fonts/grotesk-{number}",
    }
    return HeldRecord(id=f"visit-{number}", category="visits", origin="observed", data=data)


def _charge(number: int) -> HeldRecord:
    data = {
        "id": f"ch_{number:08}",
        "customer": "cus_00421",
        "amount": 11900,
        "currency": "eur",
        "created": f"2025-{number:02}-02T00:05:11Z",
        "status": "succeeded",
        "method": {"brand": "visa", "last4": "4242", "country": "DE"},
    }
    return HeldRecord(
        id=f"ch_{number:08}", category="charges", origin="third_party", source="Payment processor", data=data
    )


_RECORDS: Final[Mapping[str, tuple[str, Callable[[int], HeldRecord]]]] = {
    "billing": ("invoices", _invoice),
    "support": ("support_conversations", _conversation),
    "analytics": ("visits", _visit),
    "payments": ("charges", _charge),
}


def _sent(record: HeldRecord) -> Record:
    return Record.model_validate(record._asdict())


class Answer:
    """One request with its sealed results, and the steps from them to the object in the store."""

    def __init__(self, right: str, folder: Path) -> None:
        participants = (SERVICES, *_RECORDS)
        self.keyring = Keyring(JsonWebKey.model_validate(new_key(name)) for name in participants)
        self.registry = load_registry(_REGISTRY)
        self.writer = AnswerWriter(self.registry)
        self.objects = open_store(folder.as_uri())
        self.facts = AnswerFacts(
            request_id=_REQUEST,
            reference="HB-7K3M-Q2P9",
            right=right,
            regulation="eu-gdpr",
            jurisdiction="DE-BE",
            received_at=datetime(2026, 3, 1, 23, 30, tzinfo=UTC),
            answered_at=datetime(2026, 3, 4, 9, tzinfo=UTC),
            name="Ana Müller",
        )
        self.given = tuple(
            Contribution(
                system,
                "finished",
                "completed",
                summary=(SummaryItem(category=category, did="disclosed", count=10),),
                records=tuple(map(record, range(1, 11))),
                labels=_LABELS[system],
            )
            for system, (category, record) in _RECORDS.items()
        )
        self.places = {
            system: Place(system, TaskFinished.TYPE, _REQUEST, uuid5(_REQUEST, system)) for system in _RECORDS
        }
        self.sealed = {
            given.system: seal_personal(
                self.keyring,
                self.places[given.system],
                ResultPersonal(records=tuple(map(_sent, given.records)), labels=dict(given.labels)),
            )
            for given in self.given
        }

    def open(self) -> tuple[Contribution, ...]:
        opened = (held(self.keyring.open(self.places[given.system], self.sealed[given.system])) for given in self.given)
        return tuple(
            replace(given, records=records, labels=labels)
            for given, (records, labels) in zip(self.given, opened, strict=True)
        )

    def seal(self, content: bytes) -> tuple[bytes, str]:
        secret = new_artifact_key()
        sealed = b"".join(seal_artifact(secret, [content]))
        answer = AnswerObject(
            key=f"answers/{_REQUEST}/{uuid4()}",
            secret=secret,
            sha256=hashlib.sha256(sealed).hexdigest(),
            bytes=len(sealed),
            media_type="application/zip",
            expires_at=self.facts.answered_at + timedelta(days=14),
        )
        return sealed, seal_personal(self.keyring, Place(SERVICES, AnswerObject.__name__, _REQUEST), answer)

    def whole(self) -> None:
        self.seal(self.writer.assemble(self.facts, self.open()))

    def parts(self) -> Mapping[str, Callable[[], object]]:
        """Each step on what the step before it gives."""
        found = sections(self.facts.right, self.given, self.registry)
        beyond = not_covered(self.given, self.registry)
        page, data = PageWriter(self.registry, Words("en")), DataWriter(self.registry)
        made = self.writer.assemble(self.facts, self.given)
        with zipfile.ZipFile(io.BytesIO(made)) as opened:
            files = {name: opened.read(name) for name in opened.namelist()}
        return {
            "whole, without database and store": self.whole,
            "  open four sealed parts": self.open,
            "  write the ZIP": lambda: self.writer.assemble(self.facts, self.given),
            "    share out": lambda: sections(self.facts.right, self.given, self.registry),
            "    index.html": lambda: page.write(self.facts, self.given, found, beyond),
            "    data.json": lambda: data.write(self.facts, found, beyond),
            "    tables": lambda: to_csv([(section.records, section.labels) for section in found]),
            "    pack": lambda: archive(files.items()),
            "  seal object and key": lambda: self.seal(made),
        }


def _cpu(run: Callable[[], object], rounds: int) -> float:
    """Microseconds of one run."""
    loops = []
    for _ in range(_LOOPS):
        began = time.process_time()
        for _ in range(rounds):
            run()
        loops.append((time.process_time() - began) / rounds)
    return min(loops) * 1e6


async def _put(objects: ObjectStore, content: bytes, rounds: int) -> float:
    """As the assembler does: a batch of puts at a time."""

    def puts() -> list[Coroutine[Any, Any, object]]:
        return [objects.put_async(f"answers/{uuid4()}/{each}", content, use_multipart=False) for each in range(20)]

    await asyncio.gather(*puts())
    began = time.process_time()
    for _ in range(rounds // 20):
        await asyncio.gather(*puts())
    return (time.process_time() - began) / (rounds // 20 * 20) * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--profile", metavar="RIGHT", help="print where the time goes instead")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if asked.profile:
            answer = Answer(asked.profile, Path(folder))
            answer.whole()
            with cProfile.Profile() as profile:
                for _ in range(asked.rounds):
                    answer.whole()
            pstats.Stats(profile).sort_stats("tottime").print_stats(40)
            return
        for right in ("access", "portability"):
            answer = Answer(right, Path(folder))
            made = answer.writer.assemble(answer.facts, answer.given)
            print(f"{right}: 40 records of 4 systems, {len(made):,} bytes")
            for name, run in answer.parts().items():
                print(f"{_cpu(run, asked.rounds):8.0f} µs  {name}", flush=True)
            print(
                f"{asyncio.run(_put(answer.objects, answer.seal(made)[0], asked.rounds)):8.0f} µs    put into a folder"
            )


if __name__ == "__main__":
    main()
