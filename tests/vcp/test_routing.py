"""Routing keys by their leading words, queue names from the bundle, and who must sign what."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import vcp
from tests.vcp.samples import same_every_run
from vcp import Family, Route, Unknown

SITE = "7a1d2c3b-4e5f-4a6b-8c7d-9e0f1a2b3c4d"


@pytest.mark.parametrize(
    ("key", "family", "tail"),
    [
        ("acme.command.site-setpoint", Family.COMMAND_SITE_SETPOINT, None),
        ("acme.command.device", Family.COMMAND_DEVICE, None),
        ("acme.command.device.charge", Family.COMMAND_DEVICE, "charge"),
        ("acme.command.emergency", Family.COMMAND_EMERGENCY, None),
        ("acme.command.mode", Family.COMMAND_MODE, None),
        ("acme.config.constraints", Family.CONFIG_CONSTRAINTS, None),
        ("acme.config.topology", Family.CONFIG_TOPOLOGY, None),
        ("acme.config.fallback", Family.CONFIG_FALLBACK, None),
        ("acme.schedule.create", Family.SCHEDULE_CREATE, None),
        ("acme.schedule.cancel", Family.SCHEDULE_CANCEL, None),
        (f"acme.event.telemetry.realtime.{SITE}", Family.EVENT_TELEMETRY_REALTIME, SITE),
        ("acme.event.telemetry.realtime", Family.EVENT_TELEMETRY_REALTIME, None),
        (f"acme.event.telemetry.meter.{SITE}", Family.EVENT_TELEMETRY_METER, SITE),
        ("acme.event.telemetry.meter", Family.EVENT_TELEMETRY_METER, None),
        ("acme.event.telemetry.realtime.PLANT-7.extra", Family.EVENT_TELEMETRY_REALTIME, "PLANT-7.extra"),
        ("acme.event.command.ack", Family.EVENT_COMMAND_ACK, None),
        ("acme.event.execution", Family.EVENT_EXECUTION, None),
        ("acme.event.execution.completed", Family.EVENT_EXECUTION, "completed"),
        ("acme.event.alarm", Family.EVENT_ALARM, None),
        ("acme.event.alarm.raised", Family.EVENT_ALARM, "raised"),
        ("acme.event.mode.changed", Family.EVENT_MODE, "changed"),
        ("acme.event.schedule.accepted", Family.EVENT_SCHEDULE, "accepted"),
    ],
)
def test_a_key_is_read_by_its_leading_words(key: str, family: Family, tail: str | None) -> None:
    assert vcp.classify(key, "acme") == Route(family=family, tail=tail)


@pytest.mark.parametrize(
    "key",
    [
        "",
        "acme",
        "acme.",
        "other.event.alarm",
        "acmeevent.alarm",
        "acme-2.event.alarm",
        "ACME.event.alarm",
        "event.alarm",
        "acme.event",
        "acme.event.",
        "acme.event.command",
        "acme.event.command.nack",
        "acme.event.telemetry",
        "acme.event.telemetry.forecast." + SITE,
        "acme.event.alarms",
        "acme.event..alarm",
        "acme.command.self-destruct",
        "acme.command.device-batch",
        "acme.schedule.pause",
        "acme.acme.event.alarm",
        "\x00\ud800",
    ],
)
def test_a_foreign_or_unknown_key_survives_as_unknown(key: str) -> None:
    assert vcp.classify(key, "acme") == Route(family=Unknown(key), tail=None)


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("prefix", ["acme", "default", "voke-cz_1", "two.words"])
@pytest.mark.parametrize("tail", [None, SITE, "a.b"])
def test_a_key_that_we_build_reads_back(family: Family, prefix: str, tail: str | None) -> None:
    key = vcp.routing_key(prefix, family, tail)

    assert vcp.classify(key, prefix) == Route(family=family, tail=tail)


@pytest.mark.parametrize(
    ("prefix", "tail"),
    [
        ("", None),
        ("acme.", None),
        (".acme", None),
        ("*", None),
        ("#", None),
        ("ac me", None),
        ("acme\n", None),
        ("acme", ""),
        ("acme", "a..b"),
        ("acme", "#"),
        ("acme", "site\x00"),
        ("acme", "s" * 250),
        ("ž" * 125, None),
    ],
)
def test_a_key_that_amqp_or_a_binding_would_misread_is_never_built(prefix: str, tail: str | None) -> None:
    with pytest.raises(vcp.UnroutableKey):
        vcp.routing_key(prefix, Family.EVENT_ALARM, tail)


def test_a_key_may_fill_all_that_amqp_can_carry() -> None:
    key = vcp.routing_key("acme", Family.EVENT_ALARM, "s" * (255 - len("acme.event.alarm.")))

    assert len(key) == 255


@pytest.mark.parametrize("letter", ["s", "ž"])
def test_a_key_has_no_byte_more(letter: str) -> None:
    with pytest.raises(vcp.UnroutableKey):
        vcp.routing_key("acme", Family.EVENT_ALARM, "s" * (254 - len("acme.event.alarm.")) + letter * 2)


@same_every_run
@given(st.text(), st.text())
def test_classifying_never_fails(key: str, prefix: str) -> None:
    route = vcp.classify(key, prefix)

    assert isinstance(route.family, Family) or route.family.raw == key


def test_queue_names_follow_the_prefix() -> None:
    assert vcp.queue_names("acme") == vcp.QueueNames(
        command="vcp.acme.command",
        config="vcp.acme.config",
        schedule="vcp.acme.schedule",
        event_telemetry="vcp.acme.event.telemetry",
        event_status="vcp.acme.event.status",
        event_alarm="vcp.acme.event.alarm",
        event_execution="vcp.acme.event.execution",
    )


def test_names_given_by_the_bundle_win_over_the_prefix() -> None:
    names = vcp.queue_names(
        "acme", {"command": "c", "eventStatus": "s", "event_alarm": "a", "eventFuture": "ignored"}
    )

    assert (names.command, names.event_status, names.event_alarm) == ("c", "s", "a")
    assert (names.config, names.event_telemetry) == ("vcp.acme.config", "vcp.acme.event.telemetry")


@pytest.mark.parametrize("name", ["", 5, ["q"], "q" * 256, "ž" * 128])
def test_a_queue_name_is_a_text_that_amqp_can_carry(name: object) -> None:
    overrides: dict[str, object] = {"eventAlarm": name}

    with pytest.raises(vcp.InvalidBundle) as caught:
        vcp.queue_names("acme", overrides)  # type: ignore[arg-type]
    assert caught.value.path == "queues.eventAlarm"


def test_queues_stand_in_two_directions() -> None:
    names = vcp.queue_names("p")

    assert names.to_voke == ("vcp.p.command", "vcp.p.config", "vcp.p.schedule")
    assert names.to_partner == (
        "vcp.p.event.telemetry",
        "vcp.p.event.status",
        "vcp.p.event.alarm",
        "vcp.p.event.execution",
    )


def test_the_bindings_are_the_fact_sheets() -> None:
    assert vcp.bindings(vcp.queue_names("p"), "acme") == [
        ("vcp.p.command", "acme.command.#"),
        ("vcp.p.config", "acme.config.#"),
        ("vcp.p.schedule", "acme.schedule.*"),
        ("vcp.p.event.telemetry", "acme.event.telemetry.#"),
        ("vcp.p.event.status", "acme.event.command.ack"),
        ("vcp.p.event.status", "acme.event.mode.*"),
        ("vcp.p.event.status", "acme.event.schedule.*"),
        ("vcp.p.event.alarm", "acme.event.alarm.#"),
        ("vcp.p.event.execution", "acme.event.execution.#"),
    ]


def test_the_exchange_is_vcp() -> None:
    assert vcp.EXCHANGE == "vcp"


SIGNED = {"command.device", "command.mode", "schedule.create", "schedule.cancel"}


@pytest.mark.parametrize("family", Family)
def test_four_families_must_be_signed(family: Family) -> None:
    assert vcp.must_be_signed(family, vcp.DEFAULT_SIGNED_FAMILIES) is (family.value in SIGNED)


@pytest.mark.parametrize(
    ("family", "signed", "expected"),
    [
        ("command.device.charge", {"command.device"}, True),
        ("command.device-batch", {"command.device"}, False),
        (Family.SCHEDULE_CREATE, {"schedule"}, True),
        (Family.COMMAND_EMERGENCY, {"command.emergency"}, True),
        (Family.CONFIG_TOPOLOGY, {"command", "schedule"}, False),
        (Family.COMMAND_DEVICE, set(), False),
    ],
)
def test_a_signed_family_covers_its_sub_keys_and_nothing_else(
    family: str, signed: set[str], expected: bool
) -> None:
    assert vcp.must_be_signed(family, signed) is expected


def test_each_family_names_the_scope_it_needs() -> None:
    scopes = {family.value: scope for family, scope in vcp.REQUIRED_SCOPE.items()}
    connect = {f.value: "vcp:connect" for f in Family if f.value.startswith("event.")}

    assert scopes == {
        "command.site-setpoint": "vcp:write:setpoint",
        "command.device": "vcp:write:device-command",
        "command.emergency": "vcp:write:setpoint",
        "command.mode": "vcp:write:mode",
        "config.constraints": "vcp:write:config",
        "config.topology": "vcp:write:config",
        "config.fallback": "vcp:write:config",
        "schedule.create": "vcp:write:schedule",
        "schedule.cancel": "vcp:write:schedule",
        **connect,
    }
