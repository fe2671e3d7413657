"""What a notification says: the body of a webhook, and a mail made of the same members. Pure.

Everything but our own words comes from outside (plant names, Voke's texts): it is cut to a length and loses its control
characters, so that it can neither end a header nor fill a mailbox. Secrets, bodies and keys are in none of it.
"""

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from plants.models import Alarm, Organisation

SUBJECT_MAX = 150
MESSAGE_MAX = 1000
NAME_MAX = 120
OTHERS_NAMED = 10
_UNSEEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
_SUBJECT_WORDS = {"RAISED": "", "CLEARED": "over: ", "TEST": "test: "}


def one_line(text: object, limit: int) -> str:
    """The text without control characters and line ends, cut with an ellipsis."""
    seen = "".join(" " if unicodedata.category(char) in _UNSEEN else char for char in str(text))
    words = " ".join(seen.split())
    return words if len(words) <= limit else f"{words[: limit - 1].rstrip()}…"


def stamp(at: datetime) -> str:
    """`2026-01-02T03:00:00.000Z`."""
    return f"{at.astimezone(UTC).isoformat(timespec='milliseconds')[:-6]}Z"


def owner_of(alarm: Alarm) -> Organisation | None:
    """Whose alarm it is; None = the installation's."""
    if alarm.organisation is not None:
        return alarm.organisation
    place = alarm.plant or alarm.connection
    return place.organisation if place is not None else None


def content_of(alarm: Alarm, *, uid: str, event: str, product: str) -> dict[str, Any]:
    """The members of a notification about an alarm."""
    owner = owner_of(alarm)
    return {
        "id": uid,
        "product": one_line(product, NAME_MAX),
        "state": event,
        "severity": one_line(alarm.severity, 64),
        "code": one_line(alarm.code, 128),
        "message": one_line(alarm.message, MESSAGE_MAX),
        "origin": str(alarm.origin),
        "alarmId": one_line(alarm.alarm_id, 128),
        "organisation": one_line(owner.slug, 50) if owner else None,
        "connection": one_line(alarm.connection.name, NAME_MAX) if alarm.connection else None,
        "plant": _plant(alarm),
        "raisedAt": stamp(alarm.raised_at),
        "clearedAt": stamp(alarm.cleared_at) if alarm.cleared_at else None,
    }


def _plant(alarm: Alarm) -> dict[str, str] | None:
    if alarm.plant is None:
        return None
    return {
        "externalPlantId": alarm.plant.external_plant_id,
        "name": one_line(alarm.plant.name, NAME_MAX),
    }


def test_content(*, uid: str, channel: str, severity: str, at: datetime, product: str) -> dict[str, Any]:
    """The members of a test notification: the same ones, about nothing."""
    return {
        "id": uid,
        "product": one_line(product, NAME_MAX),
        "state": "TEST",
        "severity": severity,
        "code": "TEST",
        "message": f"This is a test of the channel {one_line(channel, 80)}. Nothing is wrong.",
        "origin": "PLATFORM",
        "alarmId": "TEST",
        "organisation": None,
        "connection": None,
        "plant": None,
        "raisedAt": stamp(at),
        "clearedAt": None,
    }


def with_others(
    content: Mapping[str, Any], others: Sequence[Mapping[str, Any]], *, count: int
) -> dict[str, Any]:
    """The content with what was held back: `heldBack` their number, `others` the first of them in short."""
    short = [
        {name: other[name] for name in ("state", "severity", "code", "message", "raisedAt")}
        for other in others[:OTHERS_NAMED]
    ]
    return {**content, "heldBack": count, "others": short}


def subject_of(content: Mapping[str, Any]) -> str:
    """`[ERROR] over: LINK_DOWN key 1 (and 12 more)`: a mail's subject, one line, no secrets."""
    place = content["plant"]["name"] if content["plant"] else content["connection"] or content["organisation"]
    more = f" (and {content['heldBack']} more)" if content.get("heldBack") else ""
    head = f"[{content['severity']}] {_SUBJECT_WORDS[content['state']]}{content['code']}"
    room = SUBJECT_MAX - len(more)
    return one_line(f"{head} {place or content['product']}", room) + more


def text_of(content: Mapping[str, Any]) -> str:
    """A mail's text."""
    plant = content["plant"]
    facts = [
        ("Organisation", content["organisation"]),
        ("Connection", content["connection"]),
        ("Plant", f"{plant['name']} ({plant['externalPlantId']})" if plant else None),
        ("Raised", content["raisedAt"]),
        ("Cleared", content["clearedAt"]),
        ("Alarm", content["alarmId"]),
        ("Message id", content["id"]),
    ]
    parts = [content["message"] or content["code"], ""]
    parts += [f"{name}: {value}" for name, value in facts if value]
    if content.get("heldBack"):
        parts += ["", f"Held back before this message: {content['heldBack']}, the newest of them:"]
        parts += [
            f"- {other['raisedAt']} [{other['severity']}] {_SUBJECT_WORDS[other['state']]}{other['code']}: "
            f"{other['message']}"
            for other in content["others"]
        ]
    return "\n".join([*parts, "", f"Sent by {content['product']}."])
