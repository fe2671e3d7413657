"""Events that the protocol allows, of every family: members absent, null, unknown or as extreme as they may be."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from link.broker import Delivery
from tests.factories import AT
from tests.link.helpers import delivery
from vcp import Family, format_timestamp

_NASTY_TEXTS = [
    "",
    "'; DROP TABLE plants_alarm; --",
    "<script>alert(1)</script>",
    "%s %(x)s {0} ${jndi:ldap://x}",
    "\u202e\u2028\u2029\ufeff\ufffe\U0010ffff",
    "\x01\x1f\x7f\x85",
    "null",
    "𝛘" * 128,
    "Ǆ\u0301" * 40,
]
_CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
texts = st.text(_CHARACTERS, max_size=30) | st.sampled_from([*_NASTY_TEXTS, "x" * 20_000])
words = st.text(_CHARACTERS, max_size=128) | st.sampled_from(_NASTY_TEXTS)
ids = words.filter(bool)
numbers = (
    st.floats(-(2.0**53) + 1, 2.0**53 - 1)
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.sampled_from([0, -0.0, 5e-324, -5e-324, 1e-310, 2**53 - 1])
)
registers = numbers.map(abs)
percents = st.floats(0, 100) | st.sampled_from([0, 100, 5e-324])
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**308), 10**308)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
any_times = st.datetimes(timezones=st.just(UTC)) | st.sampled_from(
    [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC), AT]
)
SITES = ("by UUID", "by our id", "in capitals", "as a URN", "unknown", "nonsense")


def _wire(at: datetime, form: int) -> str:
    """A time in one of the forms that are taken."""
    text = format_timestamp(at)
    return (text, f"{text[:-1]}{at.microsecond % 1000:03d}000000Z", f"{text[:19]}Z", f"{text[:16]}Z")[form]


forms = st.integers(0, 3)
wire_times = st.builds(_wire, any_times, forms)


def _object(required: Mapping[str, Any], optional: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A payload: optional members absent, null or given, unknown members among them."""
    known = st.fixed_dictionaries(
        dict(required), optional={name: st.none() | value for name, value in optional.items()}
    )
    unknown = st.dictionaries(words.map(lambda word: f"~{word}"), json_values, max_size=2)
    return st.builds(lambda extra, members: {**extra, **members}, unknown, known)


_device = _object(
    {"deviceId": ids}, {"assetType": words, "powerKw": numbers, "socPercent": percents, "status": words}
)
_realtime = _object(
    {"dataQuality": words | st.sampled_from(["GOOD", "STALE"])},
    {
        **dict.fromkeys(
            [
                "gridPowerKw",
                "fvePowerKw",
                "batteryPowerKw",
                "consumptionPowerKw",
                "availableBatteryEnergyKwh",
                "batteryTemperatureCelsius",
            ],
            numbers,
        ),
        "socPercent": percents,
        "currentOperatingMode": words,
        "devices": st.lists(_device, max_size=3),
    },
)
_meter = _object(
    {"deviceId": ids | st.sampled_from(["M1", "M2"])},
    {
        "role": words,
        **{
            f"{name}RegisterKwh": registers
            for name in ("import", "export", "production", "charge", "discharge")
        },
    },
)
_meters = {
    "dataQuality": words | st.sampled_from(["GOOD", "INTERPOLATED", "MISSING"]),
    "meters": st.lists(_meter, max_size=3),
}
_result = _object({"deviceId": ids, "status": words}, {"rejectionCode": words, "message": texts})
_ack = _object(
    {
        "status": words.filter(lambda word: word != "PARTIAL") | st.sampled_from(["ACCEPTED", "REJECTED"]),
        "commandType": words,
    },
    {"message": texts, "rejectionCode": words, "results": st.lists(_result, max_size=3)},
)
_partial = _object(
    {
        "status": st.just("PARTIAL"),
        "commandType": words,
        "results": st.lists(_result, min_size=1, max_size=3),
    },
    {},
)
_execution = _object(
    {
        "commandType": words,
        "status": words | st.sampled_from(["EXECUTING", "COMPLETED", "DEVIATED", "FAILED"]),
    },
    {"actualValueKw": numbers, "targetValueKw": numbers, "deviationKw": numbers, "reason": texts},
)
_alarm = _object(
    {
        "alarmId": ids | st.sampled_from(["a1", "a2"]),
        "severity": words,
        "code": words,
        "message": texts,
        "raisedAt": wire_times,
    },
    {
        "deviceId": ids,
        "clearedAt": wire_times,
        "actualValue": texts | numbers,
        "expectedValue": texts | numbers,
        "breachedField": words,
        "tolerancePercent": numbers,
        "metadata": st.dictionaries(words, json_values, max_size=3),
    },
)
_mode = _object({"mode": words}, {"previousMode": words, "reason": texts, "validUntil": wire_times})
_schedule = _object({"scheduleId": ids, "status": words}, {"reason": texts})

EVENTS = st.one_of(
    st.tuples(st.just(Family.EVENT_TELEMETRY_REALTIME), _realtime),
    st.tuples(st.just(Family.EVENT_TELEMETRY_METER), st.fixed_dictionaries(_meters)),
    st.tuples(st.just(Family.EVENT_COMMAND_ACK), _ack | _partial),
    st.tuples(st.just(Family.EVENT_EXECUTION), _execution),
    st.tuples(st.just(Family.EVENT_ALARM), _alarm),
    st.tuples(st.just(Family.EVENT_MODE), _mode),
    st.tuples(st.just(Family.EVENT_SCHEDULE), _schedule),
    st.tuples(st.just("event.weather"), st.dictionaries(words, json_values, max_size=3)),
)


@dataclass(frozen=True, kw_only=True)
class Event:
    """A message whose site and correlation are filled in when the plant and its commands are known."""

    family: Family | str
    payload: dict[str, Any]
    envelope: dict[str, Any]
    site: str
    correlation: str | int | None
    tail: str
    ascii_only: bool

    def told(self, *, sites: Mapping[str, str], correlations: list[str]) -> Delivery:
        """As a delivery about one of our plants; a number as correlation counts through our own commands."""
        members = {**self.envelope, "siteId": sites[self.site], "payload": self.payload}
        if isinstance(self.correlation, int):
            members["correlationId"] = correlations[self.correlation % len(correlations)]
        elif self.correlation is not None:
            members["correlationId"] = self.correlation
        body = json.dumps(members, ensure_ascii=self.ascii_only).encode()
        return delivery(body, f"acme.{self.family}" + (f".{self.tail}" if self.tail else ""))


@st.composite
def events(draw: st.DrawFn) -> Event:
    """Any event that the parser takes. Its time is one that the history takes, too, nine times of ten."""
    family, payload = draw(EVENTS)
    near = AT - timedelta(
        seconds=draw(st.integers(-3000, 80_000)), microseconds=draw(st.integers(0, 999_999))
    )
    moment = draw(any_times) if draw(st.integers(0, 9)) == 0 else near
    if family == Family.EVENT_TELEMETRY_METER:
        payload = {**payload, "readingAt": _wire(moment, draw(forms))}
    envelope: dict[str, Any] = {
        "version": "1.1",
        "messageId": draw(ids | st.uuids().map(str)),
        "timestamp": _wire(moment, draw(forms)),
        "source": draw(ids),
        **draw(st.dictionaries(words.map(lambda word: f"~{word}"), json_values, max_size=1)),
    }
    tails = st.sampled_from(["", "x", "a.b.c", "#", "*", "🔥" * 30, " "])
    return Event(
        family=family,
        payload=payload,
        envelope=envelope,
        site=draw(st.sampled_from(SITES)),
        correlation=draw(st.none() | words | st.integers(0, 3)),
        tail=draw(tails),
        ascii_only=draw(st.booleans()),
    )
