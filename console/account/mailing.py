"""Sends a one-time link by mail, where a mail server is set up; the link is shown on the page all the same."""

import smtplib

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.core.mail.backends.smtp import EmailBackend
from django.utils.translation import gettext as _

from people.models import OneTimeLink

log = structlog.get_logger(__name__)


def mail_link(link: OneTimeLink, *, url: str, by: str) -> bool | None:
    """True: the server took it; False: it did not; None: there is no server or no address. Never raises for a mail."""
    if not settings.EMAIL_HOST or not link.email:
        return None
    words = {
        "name": link.name,
        "by": by,
        "organisation": link.organisation.name,
        "product": settings.PRODUCT_NAME,
        "url": url,
        "until": f"{link.expires_at:%Y-%m-%d %H:%M} UTC",
    }
    if link.user_id is None:
        subject = _("%(by)s invites you to %(organisation)s") % words
        body = _(
            "Hello %(name)s,\n\n%(by)s invites you to %(organisation)s in %(product)s. Open this link once,"
            " until %(until)s:\n\n%(url)s\n"
        )
    else:
        subject = _("A new password for %(product)s") % words
        body = _("Hello %(name)s,\n\nset a new password with this link, once, until %(until)s:\n\n%(url)s\n")
    message = EmailMessage(subject=" ".join(subject.split()), body=body % words, to=[link.email])
    backend = EmailBackend(timeout=int(settings.NOTIFY_TIMEOUT_S))
    try:
        return bool(backend.send_messages([message]))
    except (smtplib.SMTPException, OSError) as error:
        log.warning("a link was not mailed", action="link_not_mailed", error=type(error).__name__)
        return False
