"""The messages of a command, sent and heard, one at a time: pretty, as its exact bytes, and with what surrounded it.

The signature is checked again by the server each time a message is shown, with the key that the connection has now; of
the key only a fingerprint leaves the server.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from console.commands import readings
from console.commands.life import Life
from console.commands.words import precise_text
from dispatch.diagnosis import Check
from dispatch.models import OutboundMessage
from dispatch.signatures import SignatureCheck, SignatureVerdict, check_signature
from dispatch.words import outcome_word, state_word
from plants.errors import NotFound
from plants.models import Connection, InboundMessage
from vcp import DEFAULT_SIGNED_FAMILIES, must_be_signed
from vcp.said import said

TABS: Final = ("pretty", "raw", "hex", "headers")
_LOG: Final = "log"
_READ: Final = ("KNOWN", "UNKNOWN")
"""What a look that came to an end found."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """One message to choose. `key`: out-7, in-9, or log; `way`: out, in, log."""

    key: str
    way: str
    family: str
    word: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Signature:
    """The bar over a message: its tone, and what the check found just now."""

    tone: str
    icon: str
    title: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Shown:
    """One message as it is shown; `pretty` None = it is not JSON, `text` '' = another tab shows it."""

    chosen: Choice
    tab: str
    size: int
    sha256: str
    signature: Signature
    pretty: SafeString | None = None
    text: str = ""
    facts: Sequence[tuple[str, str]] = ()
    cut: bool = False


def choices_of(life: Life) -> list[Choice]:
    """Every message of a command, in the order of time; those that are no longer kept are not among them."""
    return sorted(_choices(life), key=lambda one: one.at)


def _choices(life: Life) -> Iterator[Choice]:
    for message in life.messages:
        word = outcome_word(message.outcome)
        yield Choice(key=f"out-{message.pk}", way="out", family=message.family, word=word, at=message.made_at)
    seen = set()
    for event in life.events:
        heard = event.inbound
        if heard is not None and heard.pk not in seen:
            seen.add(heard.pk)
            yield Choice(
                key=f"in-{heard.pk}",
                way="in",
                family=heard.family,
                word=state_word(event.word),
                at=heard.received_at,
            )
    row = life.diagnosis
    if row is not None and row.made_at is not None and _log_of(life) is not None:
        yield Choice(key=_LOG, way="log", family=_("Voke's command log"), word=_("over REST"), at=row.made_at)


def _log_of(life: Life) -> Mapping[str, Any] | None:
    rows = [] if life.diagnosis is None else life.diagnosis.evidence
    return next((one for one in rows if one["check"] == Check.LOG and one["code"] in _READ), None)


def shown_of(life: Life, choices: Sequence[Choice], *, key: str, tab: str) -> Shown | None:
    """The message that is asked for, else the one that was sent; None where there is none. Two or three queries.

    Raises NotFound where a message is named that the command has not.
    """
    chosen = next((one for one in choices if one.key == key), None)
    if chosen is None and key:
        raise NotFound(said("no such message"), path="message", code="MESSAGE_NOT_FOUND")
    if chosen is None:
        sent = life.sent
        if sent is None:
            return None
        chosen = next(one for one in choices if one.key == f"out-{sent.pk}")
    tab = tab if tab in TABS else TABS[0]
    if chosen.way == _LOG:
        return _log_shown(life, chosen)
    number = int(chosen.key.partition("-")[2])
    if chosen.way == "out":
        return _out_shown(life, chosen, number, tab)
    return _in_shown(life, chosen, number, tab)


def _out_shown(life: Life, chosen: Choice, number: int, tab: str) -> Shown:
    row = OutboundMessage.objects.get(pk=number, command_id=life.command.pk)
    connection = Connection.objects.defer("amqps_uri", "api_key").get(pk=row.connection_id)
    check = check_signature(message=row, connection=connection)
    body, zone = bytes(row.body), life.zone
    facts = [
        (_("Routing key"), row.routing_key),
        (_("Family"), row.family),
        (_("Message id"), str(row.message_id)),
        (_("Correlation id"), str(row.correlation_id)),
        (_("Made"), precise_text(row.made_at, zone)),
        (_("First attempt"), _or_none(row.attempted_at, zone)),
        (_("Attempts"), str(row.attempts)),
        (_("Outcome"), outcome_word(row.outcome)),
        (_("Settled"), _or_none(row.outcome_at, zone)),
        (_("The broker said"), row.detail),
        (_("Goes before others"), _("yes, an emergency") if row.urgent else ""),
    ]
    return _shown(chosen, tab, body, signature=_signature_bar(check, row.family, len(body)), facts=facts)


def _in_shown(life: Life, chosen: Choice, number: int, tab: str) -> Shown:
    row = InboundMessage.objects.get(pk=number, connection__organisation_id=life.command.organisation_id)
    body, zone = bytes(row.body), life.zone
    facts = [
        (_("Routing key"), row.routing_key),
        (_("Family"), row.family),
        (_("Message id"), row.message_id),
        (_("Correlation id"), row.correlation_id),
        (_("Said by Voke"), precise_text(row.sent_at, zone)),
        (_("Received"), precise_text(row.received_at, zone)),
        (_("What became of it"), row.get_disposition_display()),
    ]
    bar = Signature(
        tone="wait",
        icon="arrow-down-left",
        title=_("From Voke"),
        text=_("%(size)s stored bytes. Voke does not sign its events.") % {"size": len(body)},
    )
    return _shown(chosen, tab, body, signature=bar, facts=facts)


def _log_shown(life: Life, chosen: Choice) -> Shown:
    """What the look at Voke's log found; the answer's own bytes are not kept."""
    found = _log_of(life) or {}
    facts = [
        (_("Asked"), _("Voke's command log of the site, over REST")),
        (_("Looks"), str(0 if life.diagnosis is None else life.diagnosis.attempts)),
        (_("Found"), str(found.get("saw") or found.get("code") or "")),
        (_("It says"), state_word(str(found["word"])) if found.get("word") else ""),
    ]
    bar = Signature(
        tone="wait",
        icon="arrow-down-left",
        title=_("Read over REST"),
        text=_("What it told is kept as a finding, its bytes are not."),
    )
    return _shown(chosen, "headers", b"", signature=bar, facts=facts)


def _shown(
    chosen: Choice, tab: str, body: bytes, *, signature: Signature, facts: Sequence[tuple[str, str]]
) -> Shown:
    return Shown(
        chosen=chosen,
        tab=tab,
        size=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        signature=signature,
        pretty=readings.pretty(body) if tab == "pretty" else None,
        text=readings.hexdump(body) if tab == "hex" else "" if tab == "headers" else readings.raw(body),
        facts=[(name, value) for name, value in facts if value],
        cut=len(body) > (readings.HEX_BYTES if tab == "hex" else readings.SHOWN_BYTES),
    )


def _or_none(moment: datetime | None, zone: str) -> str:
    return "" if moment is None else precise_text(moment, zone)


def _signature_bar(check: SignatureCheck, family: str, size: int) -> Signature:
    words = {"size": size, "key": check.key}
    verdict = check.verdict
    if verdict is SignatureVerdict.NOT_REQUIRED and must_be_signed(family, DEFAULT_SIGNED_FAMILIES):
        verdict = SignatureVerdict.ABSENT  # our own setting asks for none, Voke does
    match verdict:
        case SignatureVerdict.MATCHES:
            text = _("the %(size)s stored bytes. Checked just now, key %(key)s.") % words
            return Signature(tone="ok", icon="shield-check", title=_("Signature matches"), text=text)
        case SignatureVerdict.DIFFERS:
            text = _("It is not that of the key stored now (%(key)s). Checked just now.") % words
            return Signature(tone="fail", icon="shield-x", title=_("Signature differs."), text=text)
        case SignatureVerdict.ABSENT:
            text = _("Voke drops an unsigned message of this family without a word.")
            return Signature(
                tone="fail", icon="shield-alert", title=_("Signature required and absent."), text=text
            )
        case SignatureVerdict.NOT_REQUIRED:
            text = _("%(size)s stored bytes, sent unsigned.") % words
            return Signature(tone="wait", icon="shield", title=_("No signature required."), text=text)
        case _:
            text = _("Why: %(why)s.") % {"why": check.why}
            return Signature(tone="doubt", icon="shield-alert", title=_("Signature not checked."), text=text)
