"""The stepper of virtual days: one thread, one clock, one seed; what happens at an instant happens in order."""

import os
import random
import uuid
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from django.db import connection

from dispatch.models import Command, CommandEvent, EmergencyLatch, OutboundMessage
from dispatch.states import State
from esm import clock
from esm.demo.installation import ensure_installation
from esm.virtual_day.chance import seeded
from esm.virtual_day.database import own_database
from esm.virtual_day.world import VirtualWorld
from plants.models import DeadLetter, LinkHealth, LinkState, MeterReading, Organisation, TelemetryReading
from vcp import Direction, Priority, SetpointType, SiteSetpoint

AUTUMN, SPRING = date(2026, 10, 25), date(2026, 3, 29)
pytestmark = pytest.mark.django_db(transaction=True)


def setpoint(world, kw, *, minutes=15, direction=Direction.IMPORT):
    return SiteSetpoint(
        type=SetpointType.POWER,
        target_value_kw=kw,
        direction=direction,
        include_consumption=True,
        priority=Priority.NORMAL,
        valid_from=world.now,
        valid_until=world.now + timedelta(minutes=minutes),
    )


def told(command):
    return list(
        CommandEvent.objects.filter(command=command, verdict="APPLIED")
        .order_by("pk")
        .values_list("word", "at")
    )


def an_hour(seed, day=AUTUMN):
    """A world after an hour with a setpoint, a crash of each side and a cut link in it: its journal's digest."""
    with VirtualWorld(day=day, seed=seed) as world:
        world.at("00:05", lambda one: one.send("BREWERY", setpoint(one, 40.0)))
        world.at("00:10", lambda one: one.restart_platform())
        world.at("00:15", lambda one: one.restart_voke())
        world.at("00:20", lambda one: one.cut_link(minutes=3))
        world.run_until("00:40")
        return world.voke.digest(), list(world.voke.dump())


def test_the_same_seed_and_day_give_the_same_journal_byte_for_byte_and_another_seed_another_one(
    django_db_blocker,
):
    first, rows = an_hour(7)
    _forget_everything()
    second, again = an_hour(7)
    _forget_everything()
    other, _ = an_hour(8)

    assert rows == again
    assert first == second != other


def _forget_everything():
    from django.core.management import call_command

    call_command("flush", interactive=False, verbosity=0)


def test_a_command_is_sent_answered_and_executed_in_the_order_of_the_wire_within_virtual_seconds():
    with VirtualWorld(day=AUTUMN) as world:
        world.run_until("00:05")
        sent = []
        world.at("00:06", lambda one: sent.append(one.send("BREWERY", setpoint(one, 40.0))))

        world.run_until("00:08")

        words = told(sent[0])
        assert [word for word, _ in words] == [
            State.SCHEDULED,
            State.QUEUED,
            State.SENT,
            State.ACCEPTED,
            State.EXECUTING,
            State.COMPLETED,
        ]
        assert [at for _, at in words[:5]] == [world.instant("00:06")] * 5
        assert world.instant("00:06:30") <= words[5][1] <= world.instant("00:07:10")


def test_what_is_due_later_goes_out_at_exactly_its_instant():
    with VirtualWorld(day=AUTUMN) as world:
        world.run_until("00:01")
        due_at = world.instant("00:17:23")
        with clock.frozen(world.now):
            world.send("BUS-DEPOT", setpoint(world, 50.0, minutes=60), due_at=due_at)

        world.run_until("00:20")

        message = OutboundMessage.objects.get(command__isnull=False)
        assert (message.made_at, message.attempted_at) == (due_at, due_at)


def test_nothing_of_the_telemetry_is_lost_while_the_link_is_down_and_a_command_waits_for_it():
    with VirtualWorld(day=AUTUMN) as world:
        world.run_until("00:01")
        world.at("00:02", lambda one: one.cut_link(minutes=10))
        world.at("00:03", lambda one: one.send("BREWERY", setpoint(one, 40.0)))
        world.run_until("00:11")
        command = Command.objects.get()
        assert command.state == State.QUEUED
        assert LinkHealth.objects.filter(state=LinkState.DOWN).count() == 2

        world.run_until("00:20")

        command.refresh_from_db()
        assert command.state == State.COMPLETED
        told_by_voke = world.voke.journal.rows(
            "SELECT COUNT(*) AS n FROM published WHERE family = 'event.telemetry.realtime'"
        )[0]["n"]
        assert TelemetryReading.objects.count() == told_by_voke
        assert not DeadLetter.objects.exists()


def test_a_platform_that_crashes_goes_on_from_its_tables_when_the_lease_of_its_former_life_is_over():
    with VirtualWorld(day=AUTUMN) as world:
        world.run_until("00:01")
        world.at("00:02", lambda one: one.send("BREWERY", setpoint(one, 40.0)))
        world.at("00:02", lambda one: one.restart_platform())

        world.run_until("00:10")

        assert Command.objects.get().state == State.COMPLETED
        assert OutboundMessage.objects.filter(command__isnull=False).count() == 1


def test_a_stand_in_that_crashes_has_its_setpoint_and_its_memory_of_messages_again():
    with VirtualWorld(day=AUTUMN) as world:
        world.at("00:02", lambda one: one.send("BREWERY", setpoint(one, 40.0)))
        world.at("00:04", lambda one: one.restart_voke())
        world.run_until("00:05")

        site = world.voke.engine.sites[0]

        assert [one.target_kw for one in site.state.setpoints] == [40.0]
        ids = [row["message_id"] for row in world.voke.journal.rows("SELECT message_id FROM published")]
        assert len(ids) == len(set(ids))


def test_an_emergency_and_its_release_pass_within_a_day():
    with VirtualWorld(day=AUTUMN) as world:
        world.at("00:05", lambda one: one.stop_plant("BUS-DEPOT"))
        world.at("00:20", lambda one: one.release_plant("BUS-DEPOT"))
        world.run_until("00:10")
        assert EmergencyLatch.objects.filter(released_at__isnull=True).count() == 1
        assert [site.is_stopped for site in world.voke.engine.sites] == [False, False, True]

        world.run_until("00:25")

        assert not EmergencyLatch.objects.filter(released_at__isnull=True).exists()
        assert not any(site.is_stopped for site in world.voke.engine.sites)


def test_a_wall_clock_time_of_a_day_with_a_leap_must_be_one_instant_of_it():
    autumn, spring = VirtualWorld(day=AUTUMN), VirtualWorld(day=SPRING)

    assert autumn.instant("02:15+02:00") == datetime(2026, 10, 25, 0, 15, tzinfo=UTC)
    assert autumn.instant("02:15+01:00") == datetime(2026, 10, 25, 1, 15, tzinfo=UTC)
    assert spring.instant("03:00") == datetime(2026, 3, 29, 1, 0, tzinfo=UTC)
    assert spring.instant("24:00") - spring.instant("00:00") == timedelta(hours=23)
    for world, when in ((autumn, "02:15"), (spring, "02:15"), (spring, "soon")):
        with pytest.raises(ValueError, match=when):
            world.instant(when)


def test_a_day_has_a_database_of_its_own_and_leaves_the_installations_alone():
    Organisation.objects.create(name="Ours", slug="ours", created_at=datetime(2026, 1, 1, tzinfo=UTC))
    before = connection.settings_dict["NAME"]

    with own_database():
        inside = connection.settings_dict["NAME"]
        found = Organisation.objects.count()
        ensure_installation(at=datetime(2026, 1, 1, tzinfo=UTC))

    assert (found, inside != before) == (0, True)
    assert connection.settings_dict["NAME"] == before
    assert list(Organisation.objects.values_list("slug", flat=True)) == ["ours"]


def test_ids_and_draws_follow_from_the_seed_within_the_block_and_only_there():
    with seeded(3):
        first = [uuid.uuid4() for _ in range(3)], random.random()
    with seeded(3):
        second = [uuid.uuid4() for _ in range(3)], random.random()
    outside = uuid.uuid4()

    assert first == second
    assert {one.version for one in first[0]} == {4}
    assert outside not in first[0]
    assert uuid.os is os


def test_nothing_happens_between_two_instants_that_a_tick_or_a_message_would_have_done_before():
    """Meter readings and telemetry come at their pace, and the platform's clock never goes back."""
    seen = []
    with VirtualWorld(day=AUTUMN, period_s=30.0) as world:
        world.run_until_true(
            lambda: seen.append(world.now) or world.now >= world.instant("00:10"), what="ten past"
        )

    assert seen == sorted(set(seen))
    moments = TelemetryReading.objects.order_by("plant_id", "measured_at").values_list(
        "plant_id", "measured_at"
    )
    by_plant = {}
    for plant_id, moment in moments:
        by_plant.setdefault(plant_id, []).append(moment)
    gaps = {(b - a).total_seconds() for times in by_plant.values() for a, b in pairwise(times)}
    assert len(by_plant) == 3
    assert gaps == {30.0}
    assert MeterReading.objects.exists()
