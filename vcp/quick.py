"""The short way for what comes most: realtime and meter messages straight from their bytes into structs.

It takes what holds nothing unusual and answers None for everything else: then `parse_envelope` and
`parse_payload` decide, and theirs is every error. What it takes has the same values there, because
- it knows every member (an unknown one is refused), so every text is decoded and every number bounded by the
  type that the careful way checks it with; no text that is not UTF-8, no huge number, no depth is left over;
- only devices may have members of their own (their shape is not public): where they do, they are decoded
  whole, and depth and huge numbers are looked for as in `vcp.jsontext`;
- it takes no escape, and U+0000, a lone surrogate or a key in disguise could come as nothing else;
- of a member named twice the last one counts in both, and an earlier one has passed the same checks.
"""

from datetime import datetime
from typing import Any, Final, Literal

import msgspec
from msgspec import field

from vcp.jsontext import may_hold_huge
from vcp.limits import MAX_DEPTH
from vcp.structs import Id, Number, Percent, WireStruct, Word
from vcp.telemetry import MeterRegisters, MeterTelemetry, RealtimeValues
from vcp.timestamps import parse_timestamp


class QuickReading(msgspec.Struct, frozen=True):
    """A realtime or meter message as its reader needs it; `measured_at` is `sent_at` or the meters' `readingAt`."""

    message_id: str
    sent_at: datetime
    site_id: str
    correlation_id: str | None
    payload: RealtimeValues | MeterTelemetry
    measured_at: datetime


class _AnyDevice(WireStruct, frozen=True, kw_only=True):
    """`DeviceTelemetry` without its `raw`."""

    device_id: Id = field(name="deviceId")
    asset_type: Word | None = field(name="assetType", default=None)
    power_kw: Number | None = field(name="powerKw", default=None)
    soc_pct: Percent | None = field(name="socPercent", default=None)
    status: Word | None = field(name="status", default=None)


class _Device(_AnyDevice, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class _Realtime(RealtimeValues, frozen=True, kw_only=True, forbid_unknown_fields=True):
    devices: tuple[_Device, ...] = field(name="devices", default=())


class _WideRealtime(RealtimeValues, frozen=True, kw_only=True, forbid_unknown_fields=True):
    devices: list[dict[str, Any]] = field(name="devices", default_factory=list)


class _Registers(MeterRegisters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class _Meters(WireStruct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    reading_at: str = field(name="readingAt")
    data_quality: Word = field(name="dataQuality")
    meters: tuple[_Registers, ...] = field(name="meters")


class _Message(WireStruct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`Envelope`, its timestamp still a text."""

    version: Literal["1.1"] = field(name="version")
    message_id: Id = field(name="messageId")
    timestamp: str = field(name="timestamp")
    source: Id = field(name="source")
    site_id: Id = field(name="siteId")
    correlation_id: Word | None = field(name="correlationId", default=None)
    signature_algo: Literal["HMAC-SHA256"] | None = field(name="signatureAlgo", default=None)
    signature: str | None = field(name="signature", default=None)
    signature_kid: Word | None = field(name="signatureKid", default=None)


class _RealtimeMessage(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    payload: _Realtime = field(name="payload")


class _WideMessage(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    payload: _WideRealtime = field(name="payload")


class _MeterMessage(_Message, frozen=True, kw_only=True, forbid_unknown_fields=True):
    payload: _Meters = field(name="payload")


class _OnlyDevices(msgspec.Struct):
    """A payload of which nothing else is asked."""

    devices: list[Any] = []


class _DevicesMessage(msgspec.Struct):
    payload: _OnlyDevices


class _CheckedDevices(msgspec.Struct):
    devices: tuple[_AnyDevice, ...] = ()


class _CheckedMessage(msgspec.Struct):
    payload: _CheckedDevices


_decode_realtime: Final = msgspec.json.Decoder(_RealtimeMessage).decode
_decode_wide: Final = msgspec.json.Decoder(_WideMessage).decode
_check_devices: Final = msgspec.json.Decoder(_CheckedMessage).decode
_decode_meters: Final = msgspec.json.Decoder(_MeterMessage).decode
_decode_devices: Final = msgspec.json.Decoder(_DevicesMessage).decode
_UNUSUAL: Final = (msgspec.MsgspecError, ValueError, RecursionError)


def quick_realtime(body: bytes) -> QuickReading | None:
    """A realtime message that holds nothing unusual; None = read it the careful way. Never raises."""
    if not isinstance(body, bytes) or b"\\" in body:
        return None
    try:
        message = _realtime(body)
        sent_at = parse_timestamp(message.timestamp)
    except _UNUSUAL:
        return None
    return QuickReading(
        message.message_id, sent_at, message.site_id, message.correlation_id, message.payload, sent_at
    )


def _realtime(body: bytes) -> _RealtimeMessage | _WideMessage:
    try:
        return _decode_realtime(body)
    except msgspec.ValidationError:
        message = _decode_wide(body)
    if may_hold_huge(body) or body.count(b"{") + body.count(b"[") > MAX_DEPTH:
        raise ValueError("not looked into here")
    _check_devices(body)
    return message


def quick_meters(body: bytes) -> QuickReading | None:
    """A meter message that holds nothing unusual; None = read it the careful way. Never raises."""
    if not isinstance(body, bytes) or b"\\" in body:
        return None
    try:
        message = _decode_meters(body)
        sent_at = parse_timestamp(message.timestamp)
        said = message.payload
        reading_at = parse_timestamp(said.reading_at)
    except _UNUSUAL:
        return None
    payload = MeterTelemetry(reading_at=reading_at, data_quality=said.data_quality, meters=said.meters)
    return QuickReading(
        message.message_id, sent_at, message.site_id, message.correlation_id, payload, reading_at
    )


def devices_as_sent(body: bytes) -> list[Any]:
    """The devices of a message that `quick_realtime` took, every member as it was sent; [] = it named none."""
    return _decode_devices(body).payload.devices
