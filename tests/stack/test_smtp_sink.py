"""A mail that was answered yes is a whole file in the folder, and its name tells nothing about anybody."""

import asyncio
import re
from email import message_from_bytes
from email.message import EmailMessage

import aiosmtplib
import pytest

from operations.stack import Stack


def mail(subject: str, body: str = "Hello") -> EmailMessage:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = "privacy@ale.example", "erika@person.example", subject
    message["X-Habeas-Notice"] = "acknowledged"
    message.set_content(body)
    return message


async def test_mails_are_kept_as_files(infrastructure: Stack) -> None:
    before = {*infrastructure.mail.iterdir()}
    port = infrastructure.ports["smtp"]
    await asyncio.gather(*(aiosmtplib.send(mail(f"Über {n}"), hostname="127.0.0.1", port=port) for n in range(20)))
    new = sorted({*infrastructure.mail.iterdir()} - before)
    assert all(re.fullmatch(r"\d{8}T\d{6}\.\d{6}-\d{6}\.eml", file.name) for file in new)
    subjects = {str(message_from_bytes(file.read_bytes())["Subject"]) for file in new}
    assert len(new) == len(subjects) == 20
    assert all(file.stat().st_mode & 0o077 == 0 or file.parent.stat().st_mode & 0o077 == 0 for file in new)


async def test_what_cannot_be_kept_is_not_answered_yes(infrastructure: Stack) -> None:
    folder = infrastructure.mail
    away = folder.with_name("mail-away")
    folder.rename(away)
    try:
        with pytest.raises(aiosmtplib.SMTPResponseException) as refused:
            await aiosmtplib.send(mail("lost?"), hostname="127.0.0.1", port=infrastructure.ports["smtp"])
        assert refused.value.code == 451
    finally:
        away.rename(folder)
