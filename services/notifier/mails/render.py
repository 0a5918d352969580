"""From a notice to the bytes that SMTP sends."""

import hashlib
import re
from datetime import datetime
from email.utils import format_datetime, formataddr
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup, escape

from services.notifier.domain import AddressError, Letter, Mail, UnknownNoticeError
from services.notifier.mails.form import Blanks, Encoded, fill_later, written
from services.notifier.mails.mime import alternative, header
from services.notifier.mails.statement import Clerk
from services.notifier.mails.view import (
    BystanderView,
    MailView,
    audience_of,
    bystander_view,
    letter_of,
    shown_notice,
    subject_of,
    view,
)
from services.notifier.mails.words import load_languages
from shared.events import Audience, Recipient
from shared.registry import Registry

_FOLDER: Final = Path(__file__).parent
_FORMS: Final = 512
"""That are kept; one takes about 20 kB."""
_CLERKS: Final = 128
"""As many rights, audiences and languages; rights have open names."""
_WIDTH: Final = 72
_BETWEEN: Final = 3  # the space before a word, and what breaks a command after it
_WITH_OPTION: Final = re.compile(r"--\S+(?: (?!--)\S+)?|\S+")
_BLANK_LINES: Final = re.compile(r"\n{3,}")
_ADDRESS: Final = re.compile(r"[^@\s<>()\[\],;:\\\"]{1,64}@[^@\s<>()\[\],;:\\\"]{1,255}")

_AUTOMATIC: Final = header("Auto-Submitted", "auto-generated") + header("X-Auto-Response-Suppress", "All")


class _Letter(NamedTuple):
    text: Template
    html: Template


class _Form(NamedTuple):
    text: Encoded
    html: Encoded


class MailRenderer:
    """Renders every notice in every language there is a folder for. Thread-safe; made once."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._languages = load_languages()
        self._words_for = {
            (language, audience): words.to(audience)
            for language, words in self._languages.items()
            for audience in Audience
        }
        common = {"controller": registry.controller, "policy": registry.policy}
        text = _environment("text", autoescape=False)
        html = _environment("html", autoescape=True)
        for environment in (text, html):
            environment.globals.update(common)
        self._frame = _Letter(
            text.get_template("layout/text_frame.jinja"), html.get_template("layout/html_frame.jinja")
        )
        self._letters = {
            (language, file.stem): _Letter(
                text.get_template(f"{language}/{file.name}"), html.get_template(f"{language}/{file.name}")
            )
            for language in self._languages
            for file in (_FOLDER / language).glob("[a-z]*.jinja")
        }
        self._from = header("From", formataddr((registry.mails.sender_name, registry.mails.sender_address)))
        self._sender = registry.mails.sender_address
        self._domain = registry.mails.sender_address.rpartition("@")[2]
        self._form = lru_cache(_FORMS)(self._new_form)
        self._clerk = lru_cache(_CLERKS)(self._new_clerk)

    def _address(self, mail: Mail) -> str:
        """Where the mail goes, its domain in ASCII. Raises `AddressError`."""
        if mail.notice.recipient is Recipient.DPO:
            return self._registry.controller.dpo_email
        address = mail.personal.email
        if not address:
            raise AddressError("is missing")
        if not address.isprintable() or not _ADDRESS.fullmatch(address):
            raise AddressError("is none")
        local, _, domain = address.rpartition("@")
        try:
            return f"{local}@{_ascii_domain(domain)}"
        except UnicodeError:
            raise AddressError("has a domain that cannot exist") from None

    def letter(self, mail: Mail, at: datetime) -> Letter:
        """The whole letter. `at` becomes its Date; all else depends on the notice alone, so that a repeat is
        recognisable. Raises `AddressError`, `UnknownNoticeError`."""
        notice, shown, name = mail.notice, shown_notice(mail), letter_of(mail)
        audience = audience_of(mail)
        clerk = self._clerk(str(notice.right), self._language(mail.personal.language), audience)
        words = clerk.words
        if (words.language, name) not in self._letters:
            raise UnknownNoticeError(notice.notice, words.language)
        address = self._address(mail)
        # The privacy team's letters are rare, and hold commands whose lines break where their words allow.
        blanks = Blanks(are_left=notice.recipient is not Recipient.DPO)
        subject = words.of("subject", subject_of(mail), reference=blanks(notice.reference))
        seen = (bystander_view if audience is Audience.BYSTANDER else view)(mail, clerk, blanks)
        form = (self._form if blanks.are_left else self._new_form)(words.language, name, subject, seen)
        identity = f"{shown}.{notice.recipient}.{notice.ordinal}.{notice.request_id}"
        content = alternative(
            (
                self._from,
                header("To", address, utf8=True),
                header("Subject", written(subject, blanks.values)),
                _date(at.replace(microsecond=0)),
                header("Message-ID", f"<{identity}@{self._domain}>"),
                header("X-Habeas-Request", str(notice.request_id)),
                header("X-Habeas-Notice", shown),
                _AUTOMATIC,
                header("Content-Language", words.language),
            ),
            text=form.text.with_values(blanks.values),
            html=form.html.with_values(blanks.values),
            boundary="=_" + hashlib.sha256(identity.encode()).hexdigest()[:32],
        )
        return Letter(self._sender, address, content)

    def _new_clerk(self, right: str, language: str, audience: Audience) -> Clerk:
        return Clerk(right, self._registry, self._words_for[language, audience])

    def _new_form(self, language: str, name: str, subject: str, seen: MailView | BystanderView) -> _Form:
        letter = self._letters[language, name]
        shared = {"words": self._languages[language].tables, "language": language, "subject": subject}
        body = Markup(letter.html.render(mail=seen))  # noqa: S704 - our own template has escaped it
        text = _BLANK_LINES.sub("\n\n", self._frame.text.render(shared, body=letter.text.render(mail=seen))).strip()
        return _Form(Encoded(text), Encoded(self._frame.html.render(shared, body=body), escape))

    def _language(self, language: str) -> str:
        """The person's if there are words in it, else the controller's first."""
        for choice in (language.partition("-")[0].lower(), *self._registry.controller.languages):
            if choice in self._languages:
                return choice
        return "en"


@lru_cache(1024)
def _ascii_domain(domain: str) -> str:
    """Raises UnicodeError. The standard library's codec takes longer over it than the rest of a letter's head."""
    return domain.encode("idna").decode()


@lru_cache(8)
def _date(second: datetime) -> bytes:
    return header("Date", format_datetime(second))


def _environment(blocks: str, *, autoescape: bool) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        undefined=StrictUndefined,
        autoescape=autoescape,  # noqa: S701 - off for plain text alone
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["fill"] = fill_later
    environment.filters["shell"] = shell
    environment.globals["b"] = environment.get_template(f"layout/{blocks}.jinja").module
    return environment


def shell(command: str) -> str:
    """A command as a shell takes it, in lines that fit: a broken one goes on after a backslash. An option is not parted
    from its value."""
    lines, line = [], "   "
    for words in _WITH_OPTION.findall(command):
        if line.strip() and len(line) + len(words) + _BETWEEN > _WIDTH:
            lines.append(line + " \\")
            line = "     "
        line += f" {words}"
    return "\n".join((*lines, line))
