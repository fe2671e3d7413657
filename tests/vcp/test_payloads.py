"""What holds for the payloads of every family."""

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

import vcp
from tests.vcp.samples import PAYLOADS, delete_at, dotted, failure, payload_of, set_at, value_at
from vcp import Family

Path = tuple[str | int, ...]

# Written out from the fact sheet, not derived from the structs: this table is what the structs must obey.
REQUIRED: dict[Family, list[Path]] = {
    Family.COMMAND_SITE_SETPOINT: [
        ("type",),
        ("direction",),
        ("includeConsumption",),
        ("priority",),
        ("validFrom",),
        ("targetValueKwh",),
        ("intervalMinutes",),
    ],
    Family.COMMAND_DEVICE: [
        ("commands",),
        ("commands", 2, "deviceId"),
        ("commands", 1, "assetType"),
        ("commands", 0, "command"),
    ],
    Family.COMMAND_EMERGENCY: [("type",)],
    Family.COMMAND_MODE: [("mode",)],
    Family.CONFIG_CONSTRAINTS: [],
    Family.CONFIG_TOPOLOGY: [("assets",), ("assets", 1, "deviceId"), ("assets", 0, "assetType")],
    Family.CONFIG_FALLBACK: [("mode",), ("afterSeconds",)],
    Family.SCHEDULE_CREATE: [
        ("scheduleId",),
        ("priority",),
        ("slots",),
        ("slots", 1, "from"),
        ("slots", 1, "to"),
        ("slots", 0, "type"),
        ("slots", 0, "targetValueKw"),
        ("slots", 1, "targetValueKwh"),
        ("slots", 0, "direction"),
        ("slots", 0, "includeConsumption"),
    ],
    Family.SCHEDULE_CANCEL: [("scheduleId",)],
    Family.EVENT_TELEMETRY_REALTIME: [("dataQuality",), ("devices", 0, "deviceId")],
    Family.EVENT_TELEMETRY_METER: [
        ("readingAt",),
        ("dataQuality",),
        ("meters",),
        ("meters", 0, "deviceId"),
    ],
    Family.EVENT_COMMAND_ACK: [
        ("status",),
        ("commandType",),
        ("results",),
        ("results", 1, "deviceId"),
        ("results", 0, "status"),
    ],
    Family.EVENT_EXECUTION: [("commandType",), ("status",)],
    Family.EVENT_ALARM: [("alarmId",), ("severity",), ("code",), ("message",), ("raisedAt",)],
    Family.EVENT_MODE: [("mode",)],
    Family.EVENT_SCHEDULE: [("scheduleId",), ("status",)],
}


def leaves(value: Any, path: Path = ()) -> list[Path]:
    if isinstance(value, dict):
        return [leaf for name, item in value.items() for leaf in leaves(item, (*path, name))]
    if isinstance(value, list):
        return [leaf for index, item in enumerate(value) for leaf in leaves(item, (*path, index))]
    return [path]


OPEN_MEMBERS = {("metadata", "window", "s")}
LEAVES = [
    (family, path) for family in Family for path in leaves(PAYLOADS[family]) if path not in OPEN_MEMBERS
]
NUMBERS = [(f, p) for f, p in LEAVES if type(value_at(PAYLOADS[f], p)) in (int, float)]
TEXTS = [(f, p) for f, p in LEAVES if isinstance(value_at(PAYLOADS[f], p), str)]
TIMES = [(f, p) for f, p in TEXTS if value_at(PAYLOADS[f], p).startswith("2026-")]
STRING_OR_NUMBER = {("actualValue",), ("expectedValue",)}


def test_every_family_has_a_payload_type_and_a_sample() -> None:
    assert set(vcp.PAYLOAD_TYPES) == set(Family) == set(PAYLOADS) == set(REQUIRED)


@pytest.mark.parametrize("family", Family)
def test_a_full_payload_survives_the_way_in_and_out(family: Family) -> None:
    parsed = vcp.parse_payload(family, copy.deepcopy(PAYLOADS[family]))

    assert type(parsed) is vcp.PAYLOAD_TYPES[family]
    assert vcp.to_wire(parsed) == PAYLOADS[family]
    assert vcp.family_of(parsed) is family


@pytest.mark.parametrize("family", Family)
def test_the_typed_struct_parses_back_from_its_own_wire_form(family: Family) -> None:
    parsed = vcp.parse_payload(family, PAYLOADS[family])

    assert vcp.parse_payload(family, vcp.to_wire(parsed)) == parsed


@pytest.mark.parametrize("family", Family)
def test_parsing_leaves_the_received_payload_as_it_was(family: Family) -> None:
    payload = copy.deepcopy(PAYLOADS[family])

    vcp.parse_payload(family, payload)

    assert payload == PAYLOADS[family]


@pytest.mark.parametrize(("family", "path"), [(f, p) for f, paths in REQUIRED.items() for p in paths])
def test_a_required_member_that_is_missing_is_named(family: Family, path: Path) -> None:
    error = failure(family, payload_of(family, lambda payload: delete_at(payload, path)))

    assert (error.code, error.path) == ("MISSING_FIELD", dotted(path))


@pytest.mark.parametrize("family", Family)
def test_optional_members_may_be_absent_and_null_counts_as_absent(family: Family) -> None:
    optional = [path for path in {p[:1] for _, p in _members_of(family)} if not _is_needed(family, path)]
    bare = payload_of(family, lambda payload: [delete_at(payload, path) for path in optional])
    nulls = payload_of(family, lambda payload: [set_at(payload, path, None) for path in optional])

    assert vcp.parse_payload(family, nulls) == vcp.parse_payload(family, bare)
    assert vcp.to_wire(vcp.parse_payload(family, nulls)) == bare


def _members_of(family: Family) -> list[tuple[Family, Path]]:
    return [(family, (name,)) for name in PAYLOADS[family]]


def _is_needed(family: Family, path: Path) -> bool:
    return path in REQUIRED[family]


@pytest.mark.parametrize(("family", "path"), LEAVES)
def test_a_member_of_another_json_type_is_refused_with_its_path(family: Family, path: Path) -> None:
    error = failure(family, payload_of(family, lambda payload: set_at(payload, path, [])))

    assert (error.code, error.path) == ("WRONG_TYPE", dotted(path))


@pytest.mark.parametrize(("family", "path"), [(f, p) for f, p in NUMBERS if p not in STRING_OR_NUMBER])
@pytest.mark.parametrize("value", ["5", True])
def test_a_number_is_neither_text_nor_bool(family: Family, path: Path, value: object) -> None:
    error = failure(family, payload_of(family, lambda payload: set_at(payload, path, value)))

    assert (error.code, error.path) == ("WRONG_TYPE", dotted(path))


@pytest.mark.parametrize(("family", "path"), [(f, p) for f, p in TEXTS if p not in STRING_OR_NUMBER])
def test_a_text_is_no_number(family: Family, path: Path) -> None:
    error = failure(family, payload_of(family, lambda payload: set_at(payload, path, 5)))

    assert (error.code, error.path) == ("WRONG_TYPE", dotted(path))


UNBOUNDED_NUMBERS = [
    (f, p)
    for f, p in NUMBERS
    if p[-1]
    not in ("socPercent", "socMinPercent", "socMaxPercent", "percent", "intervalMinutes", "afterSeconds")
]


@pytest.mark.parametrize(("family", "path"), UNBOUNDED_NUMBERS)
@pytest.mark.parametrize("value", [2**53, 2**53 + 1, 10**30, 1e300, 10**400])
def test_a_typed_number_beyond_what_javascript_holds_exactly_is_refused(
    family: Family, path: Path, value: float
) -> None:
    error = failure(family, payload_of(family, lambda payload: set_at(payload, path, value)))

    assert (error.code, error.path) == ("INVALID_NUMBER", dotted(path))


@pytest.mark.parametrize(("family", "path"), UNBOUNDED_NUMBERS)
def test_a_whole_number_counts_as_a_number_up_to_the_bound(family: Family, path: Path) -> None:
    payload = payload_of(family, lambda payload: set_at(payload, path, 2**53 - 1))

    assert value_at(vcp.to_wire(vcp.parse_payload(family, payload)), path) == float(2**53 - 1)


@pytest.mark.parametrize(("family", "path"), TIMES)
@pytest.mark.parametrize(
    "text", ["2026-01-02T03:04:05+00:00", "2026-01-02 03:04:05Z", "2026-02-30T00:00:00Z", "soon"]
)
def test_a_time_in_another_form_is_refused_with_its_path(family: Family, path: Path, text: str) -> None:
    error = failure(family, payload_of(family, lambda payload: set_at(payload, path, text)))

    assert (error.code, error.path) == ("INVALID_TIMESTAMP", dotted(path))


@pytest.mark.parametrize("family", Family)
def test_members_unknown_to_us_do_not_hurt(family: Family) -> None:
    payload = payload_of(family, fromTheFuture={"deep": [1, 2, {"x": None}]})

    assert vcp.parse_payload(family, payload) == vcp.parse_payload(family, PAYLOADS[family])


@pytest.mark.parametrize("payload", [[], "text", 5, None, True])
@pytest.mark.parametrize("family", Family)
def test_a_payload_that_is_no_object_is_refused(family: Family, payload: object) -> None:
    error = failure(family, payload)

    assert (error.code, error.path) == ("WRONG_TYPE", "payload")


@pytest.mark.parametrize(
    ("family", "path"),
    [
        (Family.COMMAND_DEVICE, ("commands", 1)),
        (Family.COMMAND_DEVICE, ("commands", 0, "params")),
        (Family.CONFIG_TOPOLOGY, ("assets", 1)),
        (Family.SCHEDULE_CREATE, ("slots", 1)),
        (Family.EVENT_TELEMETRY_REALTIME, ("devices", 0)),
        (Family.EVENT_TELEMETRY_METER, ("meters", 0)),
        (Family.EVENT_COMMAND_ACK, ("results", 1)),
        (Family.EVENT_ALARM, ("metadata",)),
    ],
)
@pytest.mark.parametrize("value", ["text", [[]], 7])
def test_an_inner_object_of_another_type_is_refused_with_its_path(
    family: Family, path: Path, value: object
) -> None:
    error = failure(family, payload_of(family, lambda payload: set_at(payload, path, value)))

    assert (error.code, error.path) == ("WRONG_TYPE", dotted(path))


@pytest.mark.parametrize("name", ["commands", "assets", "slots", "meters", "results", "devices"])
def test_an_object_in_place_of_a_list_is_refused(name: str) -> None:
    family = next(family for family in Family if name in PAYLOADS[family])

    error = failure(family, payload_of(family, **{name: {"0": {}}}))

    assert (error.code, error.path) == ("WRONG_TYPE", f"payload.{name}")


def test_structs_are_frozen_and_keyword_only() -> None:
    emergency = vcp.Emergency(type=vcp.EmergencyType.STOP)

    with pytest.raises(AttributeError):
        emergency.reason = "changed"  # type: ignore[misc]
    with pytest.raises(TypeError):
        vcp.Emergency(vcp.EmergencyType.STOP)  # type: ignore[misc]


def test_only_payloads_go_on_the_wire() -> None:
    foreign: Any = vcp.DeviceParams(power_kw=1.0)

    with pytest.raises(vcp.WrongType):
        vcp.to_wire(foreign)
    with pytest.raises(vcp.WrongType):
        vcp.family_of(foreign)


def test_a_time_without_zone_never_reaches_the_wire() -> None:
    naive = datetime(2026, 1, 2)
    mode = vcp.Mode(mode=vcp.OperatingMode.STANDARD, valid_until=naive)

    with pytest.raises(vcp.InvalidTimestamp) as caught:
        vcp.to_wire(mode)
    assert caught.value.path == "validUntil"


def test_a_time_without_zone_is_no_time_on_the_way_in_either() -> None:
    error = failure(Family.COMMAND_MODE, {"mode": "STANDARD", "validUntil": datetime(2026, 1, 2)})

    assert (error.code, error.path) == ("INVALID_TIMESTAMP", "payload.validUntil")


def test_times_go_out_in_milliseconds_and_utc() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678_999, tzinfo=UTC)

    wire = vcp.to_wire(vcp.ModeEvent(mode="STANDARD", valid_until=at))

    assert wire == {"mode": "STANDARD", "validUntil": "2026-01-02T03:04:05.678Z"}
