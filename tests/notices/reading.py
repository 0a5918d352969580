"""A mail as its reader has it."""

import email
import email.policy
from email.message import EmailMessage
from html.parser import HTMLParser

from services.notifier.domain import Mail
from services.notifier.mails import MailRenderer
from tests.notices.samples import NOW


def parsed(raw: bytes) -> EmailMessage:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    assert not message.defects
    return message


def part(message: EmailMessage, kind: str) -> str:
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content())


class Page(HTMLParser):
    """What a reader sees, and everything that would be fetched or run."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.text: list[str] = []
        self.links: list[str] = []
        self.tags: list[str] = []
        self.loads: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in {"meta", "br"}:
            self.open.append(tag)
        for name, value in attrs:
            if name == "href":
                self.links.append(value or "")
            if name in {"src", "background", "srcset", "poster"} or "url(" in (value or ""):
                self.loads.append(f"{tag} {name}")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text.append(data)


def words(text: str) -> str:
    return " ".join(text.split())


def both_forms(renderer: MailRenderer, sent: Mail) -> tuple[str, str]:
    """The words of the text and of the page."""
    message = parsed(renderer.letter(sent, NOW).content)
    return words(part(message, "plain")), words(" ".join(Page(part(message, "html")).text))
