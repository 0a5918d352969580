"""The mails: one letter per notice and language, written once and rendered as text and as HTML."""

from services.notifier.mails.render import MailRenderer

__all__ = ["MailRenderer"]
