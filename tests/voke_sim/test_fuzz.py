"""Whatever a partner sends, the stand-in goes on: every delivery gets a verdict, every answer is a
valid message.
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.voke_sim.harness import DEPOT, KEY, SLUG, Partner
from vcp import (
    AssetType,
    DeviceCommandType,
    Direction,
    EmergencyType,
    Family,
    OperatingMode,
    Priority,
    ProtocolError,
    SetpointType,
    format_timestamp,
    parse_envelope,
    parse_payload,
    routing_key,
    sign,
)

RELAXED = settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)

number = st.one_of(
    st.floats(min_value=0, max_value=100), st.sampled_from([0, 1e-12, 9e15, 2**53 - 1, 50.0, 100])
)
maybe_number = st.one_of(st.none(), number)
moment = st.datetimes(
    min_value=datetime(2026, 1, 2, 2, 50), max_value=datetime(2026, 1, 2, 3, 10), timezones=st.just(UTC)
) | st.sampled_from([datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)])
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)


def words(vocabulary: Any) -> st.SearchStrategy[str]:
    return st.sampled_from([word.value for word in vocabulary])


def shaped(**members: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(members).map(
        lambda document: {name: value for name, value in document.items() if value is not None}
    )


wire_moment = moment.map(format_timestamp)
setpoint = shaped(
    type=words(SetpointType),
    targetValueKw=number,
    targetValueKwh=number,
    intervalMinutes=st.sampled_from([1, 15, 1440]),
    direction=words(Direction),
    includeConsumption=st.booleans(),
    priority=words(Priority),
    validFrom=wire_moment,
    validUntil=st.one_of(st.none(), wire_moment),
)
command = shaped(
    deviceId=st.sampled_from(["B1", "B2", "PV1", "PV2", "M1", "GONE", "X"]),
    assetType=words(AssetType),
    command=words(DeviceCommandType),
    params=st.none()
    | shaped(powerKw=maybe_number, percent=st.floats(0, 100), respectLimits=st.none() | st.booleans()),
)
limits = shaped(
    maxImportKw=maybe_number,
    maxExportKw=maybe_number,
    maxChargeKw=maybe_number,
    maxDischargeKw=maybe_number,
    socMinPercent=st.none() | st.floats(0, 50),
    socMaxPercent=st.none() | st.floats(50, 100),
)
slots = st.lists(st.tuples(number, words(SetpointType), words(Direction)), min_size=1, max_size=4).map(
    lambda items: [
        {
            "from": f"2026-01-02T03:{index:02}:00Z",
            "to": f"2026-01-02T03:{index + 1:02}:00Z",
            "type": kind,
            "targetValueKw": value,
            "targetValueKwh": value,
            "direction": direction,
            "includeConsumption": True,
        }
        for index, (value, kind, direction) in enumerate(items)
    ]
)
message = st.one_of(
    st.tuples(st.just(Family.COMMAND_SITE_SETPOINT), setpoint),
    st.tuples(st.just(Family.COMMAND_DEVICE), shaped(commands=st.lists(command, min_size=1, max_size=4))),
    st.tuples(st.just(Family.COMMAND_EMERGENCY), shaped(type=words(EmergencyType), reason=st.none() | text)),
    st.tuples(
        st.just(Family.COMMAND_MODE),
        shaped(mode=words(OperatingMode), reason=st.none() | text, validUntil=st.none() | wire_moment),
    ),
    st.tuples(st.just(Family.CONFIG_CONSTRAINTS), limits),
    st.tuples(
        st.just(Family.CONFIG_FALLBACK), shaped(mode=words(OperatingMode), afterSeconds=st.integers(1, 5))
    ),
    st.tuples(
        st.just(Family.SCHEDULE_CREATE),
        shaped(scheduleId=st.sampled_from(["s1", "s2"]), priority=words(Priority), slots=slots),
    ),
    st.tuples(st.just(Family.SCHEDULE_CANCEL), shaped(scheduleId=st.sampled_from(["s1", "s2"]))),
)


@pytest.fixture(scope="module")
def partner() -> Iterator[Partner]:
    partner = Partner(factor=60, alarms={"clear_after_s": 5, "mode_grace_plant_s": 30})
    partner.publish_topology()
    yield partner
    partner.kill()


def check_answers(partner: Partner) -> None:
    """Every event is a valid message of its family; powers balance; no effect is doubled."""
    for event in partner.events:
        parse_payload(Family(event.family), event.payload)
    partner.events.clear()
    plant = partner.site().plant
    assert plant.load_kw == pytest.approx(plant.grid_kw + plant.pv_total_kw - plant.battery_total_kw)
    assert all(5 - 1e-6 <= battery.soc_pct <= 100 for battery in plant.batteries.values())


@RELAXED
@given(messages=st.lists(message, min_size=1, max_size=5))
def test_any_sequence_of_well_shaped_messages_is_survived_and_answered(
    partner: Partner, messages: list[tuple[Family, dict[str, Any]]]
) -> None:
    before = partner.deliveries()
    for family, payload in messages:
        partner.send(family, payload)
        partner.tick(0.5)
    partner.run(4)
    if partner.at.minute > 8:
        partner.at = partner.at.replace(minute=0)

    assert partner.deliveries() == before + len(messages)
    check_answers(partner)


def damaged(payload: dict[str, Any], place: int, value: Any) -> dict[str, Any]:
    """The payload with one member, chosen by number, replaced."""
    document = json.loads(json.dumps(payload))
    spots: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        items = node.items() if isinstance(node, dict) else enumerate(node)
        for key, child in items:
            spots.append((node, key))
            if isinstance(child, dict | list):
                walk(child)

    walk(document)
    if spots:
        node, key = spots[place % len(spots)]
        node[key] = value
    return dict(document)


json_value = st.recursive(
    st.none() | st.booleans() | number | st.integers() | st.text(max_size=20) | st.floats(allow_nan=False),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(text, children, max_size=3),
    max_leaves=5,
)


@RELAXED
@given(family_and_payload=message, place=st.integers(0, 40), value=json_value)
def test_a_message_with_any_member_damaged_is_survived(
    partner: Partner, family_and_payload: tuple[Family, dict[str, Any]], place: int, value: Any
) -> None:
    family, payload = family_and_payload
    envelope = partner.envelope({})
    envelope["payload"] = damaged(payload, place, value)
    try:
        envelope["signature"] = sign(envelope, KEY)
    except ProtocolError:
        envelope["signature"] = "unsignable"
    body = json.dumps(envelope).encode(errors="surrogatepass")
    before = partner.deliveries()
    partner.send_bytes(routing_key(SLUG, family), body)
    partner.run(1)

    assert partner.deliveries() == before + 1
    check_answers(partner)


@RELAXED
@given(
    body=st.binary(max_size=200) | st.text(max_size=100).map(lambda t: json.dumps({"version": t}).encode())
)
def test_any_bytes_are_survived(partner: Partner, body: bytes) -> None:
    before = partner.dead_letters()
    partner.send_bytes(f"{SLUG}.command.mode", body)
    partner.tick()

    assert partner.dead_letters() == before + 1


@RELAXED
@given(
    member=st.sampled_from(["messageId", "siteId", "correlationId", "source", "timestamp"]), value=json_value
)
def test_an_envelope_with_any_member_damaged_is_survived(partner: Partner, member: str, value: Any) -> None:
    envelope = {**partner.envelope({"type": "HOLD"}), member: value}
    body = json.dumps(envelope).encode(errors="surrogatepass")
    before = partner.deliveries()
    partner.send_bytes(f"{SLUG}.command.emergency", body)
    partner.tick()

    assert partner.deliveries() == before + 1
    check_answers(partner)


def test_an_absurd_target_is_answered_with_the_largest_number_the_wire_holds() -> None:
    partner = Partner()
    correlation = partner.setpoint(
        0, type="ENERGY", targetValueKw=None, targetValueKwh=9e15, intervalMinutes=1
    )
    partner.run(20)

    assert partner.statuses(correlation) == ["EXECUTING", "DEVIATED"]
    assert partner.executions(correlation)[0]["targetValueKw"] == -(2**53 - 1)


def test_the_longest_correlation_id_is_echoed() -> None:
    partner = Partner()
    correlation = "𝛘" * 128
    partner.send(Family.COMMAND_EMERGENCY, {"type": "HOLD"}, correlation_id=correlation, site=DEPOT)
    partner.tick()

    [event] = partner.of(Family.EVENT_COMMAND_ACK, correlation)
    assert parse_envelope(json.dumps(event.envelope).encode()).correlation_id == correlation
