"""Relay and consumer as real processes over RabbitMQ and PostgreSQL: stopped, killed, doubled, and nothing is lost."""

import json
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from dispatch.models import Command, OutboundMessage, Outcome
from dispatch.policy import current_policy
from dispatch.requests import CommandRequest
from dispatch.services.commands import submit
from dispatch.states import State
from esm import clock
from plants.models import InboundMessage, MeterReading, TelemetryReading
from plants.services.connections import import_bundle
from tests import factories
from tests.contract.world import eventually, site_of
from tests.process.processes import manage
from tests.services.proc import ManagedProcess
from vcp import Direction, KeyDecoding, Priority, SetpointType, SiteSetpoint, format_timestamp, parse_bundle
from voke_sim.config import ExecutionConfig, PartnerConfig, SimConfig, TelemetryConfig, TransportConfig
from voke_sim.simulator import Simulator

pytestmark = pytest.mark.django_db(transaction=True)
COMMANDS = 60


@pytest.fixture
def link(partner):
    row = import_bundle(
        organisation=factories.organisation(),
        bundle=parse_bundle(json.dumps(partner.bundle()).encode()),
        name="processes",
        source="ref-esm",
        scopes=[],
        sign_emergency=True,
        key_decoding=KeyDecoding.HEX,
        at=clock.now(),
    )
    type(row).objects.filter(pk=row.pk).update(mode="ACTIVE")
    row.refresh_from_db()
    return row


@pytest.fixture
def stand_in(partner, rabbit, link):
    plant = factories.plant(on=link)
    config = SimConfig(
        partner=PartnerConfig(
            slug=partner.slug,
            signing_key=partner.signing_key,
            queues=partner.queues,
            signed_families=tuple(link.signed_families),
        ),
        transport=TransportConfig(uri=partner.voke_uri, ca_file=str(rabbit.ca_file)),
        sites=(site_of(plant),),
        factor=60.0,
        telemetry=TelemetryConfig(realtime_period_s=0.05, meter_period_s=0.2),
        execution=ExecutionConfig(stable_plant_s=1.0, deadline_plant_s=30.0),
    )
    with Simulator(config) as simulator:
        yield plant, simulator


def loop(name: str, stack: ExitStack, rabbit, directory: Path, number: int = 1) -> ManagedProcess:
    process = manage(
        f"{name}{number}", name, directory=directory, LINK_TRANSPORT="amqps", AMQP_CA_FILE=str(rabbit.ca_file)
    )
    stack.callback(lambda: process.running and process.kill())
    process.wait_for_line("running", 120)
    return process


def ask(plant, count: int) -> list[Command]:
    at = clock.now()
    return [
        submit(
            organisation_id=plant.organisation_id,
            request=CommandRequest(
                external_plant_id=plant.external_plant_id,
                payload=SiteSetpoint(
                    type=SetpointType.POWER,
                    target_value_kw=float(1 + number % 20),
                    direction=Direction.EXPORT,
                    include_consumption=True,
                    priority=Priority.NORMAL,
                    valid_from=at,
                    valid_until=at + timedelta(minutes=15),
                ),
            ),
            actor=factories.OPERATOR,
            at=at,
            policy=current_policy(),
        ).command
        for number in range(count)
    ]


def all_confirmed(commands) -> bool:
    left = OutboundMessage.objects.filter(command__in=commands).exclude(outcome=Outcome.CONFIRMED)
    return not left.exists()


def received(simulator, commands) -> Counter:
    ids = {
        str(pk)
        for pk in OutboundMessage.objects.filter(command__in=commands).values_list("message_id", flat=True)
    }
    rows = simulator.journal.rows("SELECT message_id, COUNT(*) AS n FROM effects GROUP BY message_id")
    return Counter({row["message_id"]: row["n"] for row in rows if row["message_id"] in ids})


def test_killed_and_terminated_relays_publish_every_command_with_one_effect_each(
    rabbit, stand_in, tmp_path, settings
):
    plant, simulator = stand_in
    with ExitStack() as stack:
        first = loop("relay", stack, rabbit, tmp_path, 1)
        loop("consume", stack, rabbit, tmp_path, 1)
        commands = ask(plant, COMMANDS)
        eventually(
            lambda: OutboundMessage.objects.filter(outcome=Outcome.CONFIRMED).exists(), what="a first confirm"
        )
        first.kill()
        commands += ask(plant, COMMANDS)
        second = loop("relay", stack, rabbit, tmp_path, 2)
        eventually(
            lambda: OutboundMessage.objects.filter(attempts__gt=0).count() > COMMANDS, what="the second relay"
        )
        assert second.terminate() == 0
        commands += ask(plant, COMMANDS)
        loop("relay", stack, rabbit, tmp_path, 3)

        eventually(lambda: all_confirmed(commands), what="every message confirmed", within_s=240)
        acked = Command.objects.filter(pk__in=[one.pk for one in commands])
        waiting = [State.QUEUED, State.SENT]
        eventually(
            lambda: not acked.filter(state__in=waiting).exists(), what="every command answered", within_s=240
        )

    effects = received(simulator, commands)
    answered = Counter(acked.values_list("state", flat=True))
    assert set(effects.values()) <= {1}
    assert State.UNCONFIRMED not in answered
    assert sum(answered.values()) == 3 * COMMANDS


def test_killed_and_terminated_consumers_store_every_confirmed_event_once(rabbit, stand_in, link, tmp_path):
    plant, simulator = stand_in
    with ExitStack() as stack:
        loop("relay", stack, rabbit, tmp_path)
        first = loop("consume", stack, rabbit, tmp_path, 1)
        second = loop("consume", stack, rabbit, tmp_path, 2)
        ask(plant, COMMANDS)
        eventually(lambda: TelemetryReading.objects.count() > 20, what="telemetry")
        first.kill()
        assert second.terminate() == 0
        third = loop("consume", stack, rabbit, tmp_path, 3)
        seen = TelemetryReading.objects.count()
        eventually(lambda: TelemetryReading.objects.count() > seen + 20, what="telemetry after the crash")
        simulator.stop()
        eventually(lambda: not missing(simulator, link, plant), what="every confirmed event", within_s=240)
        assert third.terminate() == 0

    ids = list(InboundMessage.objects.values_list("message_id", flat=True))
    assert len(ids) == len(set(ids))


def missing(simulator, link, plant) -> list[str]:
    """Events that the broker confirmed to the stand-in and that are not in our database."""
    rows = simulator.journal.rows(
        "SELECT message_id, family, created_at FROM published WHERE state = 'confirmed'"
    )
    realtime = stamps(TelemetryReading.objects.filter(plant=plant).values_list("measured_at", flat=True))
    meters = stamps(MeterReading.objects.filter(plant=plant).values_list("reading_at", flat=True))
    others = set(InboundMessage.objects.filter(connection=link).values_list("message_id", flat=True))
    have = {"event.telemetry.realtime": realtime, "event.telemetry.meter": meters}
    return [
        row["message_id"]
        for row in rows
        if (row["created_at"] if row["family"] in have else row["message_id"])
        not in have.get(row["family"], others)
    ]


def stamps(moments) -> set[str]:
    return {format_timestamp(moment) for moment in moments}
