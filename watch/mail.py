"""Sends one notification as a plain-text mail to all addresses of a channel, over the SMTP server of the settings."""

import re
import smtplib
from collections.abc import Mapping, Sequence
from email.utils import make_msgid, parseaddr
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend
from django.core.validators import validate_email

from watch.errors import SendError
from watch.wording import subject_of, text_of

ADDRESSES_MAX = 20
_BETWEEN = re.compile(r"[,;\s]+")


def parse_addresses(text: str) -> list[str]:
    """The addresses of a channel; SendError names the one that is none."""
    found = list(dict.fromkeys(word for word in _BETWEEN.split(text) if word))
    for address in found:
        try:
            validate_email(address)
        except ValidationError:
            raise SendError(
                f"{address[:80]} is not an e-mail address", code="BAD_ADDRESS", permanent=True
            ) from None
    if not found:
        raise SendError("the channel has no e-mail address", code="BAD_ADDRESS", permanent=True)
    if len(found) > ADDRESSES_MAX:
        raise SendError(f"at most {ADDRESSES_MAX} addresses", code="BAD_ADDRESS", permanent=True)
    return found


def send_mail(*, addresses: Sequence[str], uid: str, content: Mapping[str, Any], timeout_s: float) -> int:
    """One mail to all; answers the number of addresses, raises SendError when the server did not take it for each.

    Django's own `send` drops what smtplib answers about single addresses: somebody on call would never hear, and nobody
    would know. Where some were refused the mail is not repeated, since the others have it.
    """
    if not settings.EMAIL_HOST:
        raise SendError("no mail server is set up (EMAIL_HOST)", code="NO_MAIL_SERVER")
    domain = settings.DEFAULT_FROM_EMAIL.rpartition("@")[2].strip(" >")
    message = EmailMessage(
        subject=subject_of(content),
        body=text_of(content),
        to=list(addresses),
        headers={"Message-ID": make_msgid(idstring=uid, domain=domain), "Auto-Submitted": "auto-generated"},
    )
    try:
        refused = _hand_over(message, timeout_s=timeout_s)
    except smtplib.SMTPAuthenticationError:
        raise SendError("the mail server refused user name or password", code="MAIL_LOGIN") from None
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
        raise SendError(
            "the mail server refused the addresses",
            code="MAIL_ADDRESSES",
            permanent=all(code >= 500 for code in codes),
        ) from None
    except smtplib.SMTPResponseException as error:
        raise SendError(
            f"the mail server answered {error.smtp_code}",
            code=f"SMTP_{error.smtp_code}",
            permanent=error.smtp_code >= 500,
        ) from None
    except (smtplib.SMTPException, OSError) as error:
        raise SendError(
            f"the mail server can't be used: {type(error).__name__}", code="MAIL_SERVER"
        ) from None
    if refused:
        raise SendError(
            f"the mail server refused {refused} of {len(addresses)} addresses; the others have it",
            code="MAIL_SOME_ADDRESSES",
            permanent=True,
        )
    return len(addresses)


def _wire_bytes(message: EmailMessage) -> bytes:
    """As SMTP wants it: every line ends in CR LF."""
    content: Any = message.message()  # Django's own subclass, which the types do not know
    return bytes(content.as_bytes(linesep="\r\n"))


def _hand_over(message: EmailMessage, *, timeout_s: float) -> int:
    """Give the mail to the server; answers how many of its addresses the server refused."""
    backend = EmailBackend(timeout=timeout_s)
    try:
        backend.open()
        server = backend.connection
        if server is None:
            raise SendError("the mail server can't be used", code="MAIL_SERVER")
        refused = server.sendmail(parseaddr(message.from_email)[1], message.to, _wire_bytes(message))
    finally:
        backend.close()
    return len(refused)
