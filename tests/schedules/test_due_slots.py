"""Slots become setpoints when they are due, once each, whatever is tried at the same moment."""

from datetime import date, timedelta
from itertools import pairwise

import pytest
from django.db import connection as database
from django.db import transaction
from django.test.utils import CaptureQueriesContext

from dispatch.models import Command
from plants.models import Connection, ConnectionMode, Plant
from plants.services.organisations import set_installation_dispatch
from schedules.models import RunState, SlotRun
from schedules.services import carried_by_us
from schedules.slots import PlannedSlot, grid_of_day
from tests import factories
from tests.schedules.carrying import (
    asked_of,
    emergency_stop,
    plain_plant,
    publish_now,
    put_in_force,
    runs_of,
    tick,
)
from tests.schedules.helpers import checked
from tests.schedules.plans import DAY, ZONE, at, slot
from tests.threads import Aside, together
from vcp import Direction, Family, Priority, SetpointType, parse_timestamp

pytestmark = pytest.mark.django_db
S = timedelta(seconds=1)


# --- what is sent, and when -------------------------------------------------------------------------------------------


def test_nothing_is_made_before_the_lead_of_the_first_slot():
    plant = plain_plant()
    put_in_force(plant, slot("10:00", 5))

    tick(at("10:00") - 21 * S)

    assert not Command.objects.exists()


def test_a_slot_is_asked_for_ahead_valid_from_its_start_until_its_end():
    plant = plain_plant()
    version = put_in_force(plant, slot("10:00", 5))

    tick(at("10:00") - 20 * S)

    command = Command.objects.get()
    assert asked_of(plant) == [(5.0, "09:00:00", "09:15:00", "NORMAL")]
    assert (command.state, command.automatic, command.requested_by_name) == ("QUEUED", True, "plan")
    assert command.batch_ref == f"plan:{version.pk}"
    run = SlotRun.objects.get()
    assert command.idempotency_key == f"slot:{run.pk}"
    assert (run.state, run.command, run.decided_at) == ("COMMANDED", command, at("10:00") - 20 * S)


def test_a_slot_holds_on_when_another_follows_at_once_and_not_before_a_gap():
    plant = plain_plant()
    put_in_force(plant, slot("10:00", 5), slot("10:15", 6), slot("10:45", 7))

    tick(at("10:15"))

    assert [(kw, until) for kw, _, until, _ in asked_of(plant)] == [(6.0, "09:30:00")]


def test_a_slot_holds_on_over_midnight_into_the_plan_of_the_next_day():
    plant = plain_plant()
    tomorrow = DAY + timedelta(days=1)
    last = slot("23:45", 5, end_at=at("23:45") + timedelta(minutes=15))
    midnight = last.end_at
    put_in_force(plant, last)
    put_in_force(
        plant, slot("23:45", 6, start_at=midnight, end_at=midnight + timedelta(minutes=15)), day=tomorrow
    )

    tick(at("23:45"))

    assert [(kw, until) for kw, _, until, _ in asked_of(plant)] == [(5.0, "23:00:30")]


def test_a_strong_slot_does_not_hold_on_over_a_plain_one():
    plant = plain_plant()
    strong = slot("10:00", 5, priority=Priority.HIGH)
    put_in_force(plant, strong, slot("10:15", 6))

    tick(at("10:00"))

    assert asked_of(plant) == [(5.0, "09:00:00", "09:15:00", "HIGH")]


def test_what_is_left_of_a_running_energy_slot_is_asked_for_in_proportion():
    plant = plain_plant(slot_minutes=60)
    put_in_force(plant, slot("10:00", 6, minutes=60, type=SetpointType.ENERGY))

    tick(at("10:45"))

    payload = Command.objects.get().payload
    assert (payload["targetValueKwh"], payload["intervalMinutes"]) == (1.5, 15)


@pytest.mark.parametrize("late_s", [7 * 60 + 31, 7 * 60 + 29, 14 * 60 + 40, 333])
def test_what_is_left_of_an_energy_slot_keeps_its_mean_power_whatever_minutes_are_left(late_s):
    """At the site's limit: an interval that was cut to less than what is left asked for more, and was refused."""
    plant = plain_plant(max_import_kw=31.2)
    plan = put_in_force(plant, slot("10:00", 7.8, type=SetpointType.ENERGY))

    tick(at("10:00") + late_s * S)

    assert runs_of(plan) == [("COMMANDED", "")]
    payload = Command.objects.get().payload
    assert payload["targetValueKwh"] * 60 / payload["intervalMinutes"] == pytest.approx(31.2)
    assert 0 <= payload["intervalMinutes"] * 60 - (900 - late_s) < 60


@pytest.mark.parametrize(("day", "quarters"), [(date(2026, 3, 29), 92), (date(2026, 10, 25), 100)])
def test_on_the_days_of_the_clock_change_each_quarter_is_sent_once_without_gap_or_double(day, quarters):
    plant = plain_plant()
    grid = grid_of_day(day, zone=ZONE, minutes=15)
    slots = [
        PlannedSlot(
            start_at=one.start_at,
            end_at=one.end_at,
            type=SetpointType.POWER,
            value=float(n),
            direction=Direction.IMPORT,
        )
        for n, one in enumerate(grid)
    ]
    put_in_force(plant, *slots, now=grid[0].start_at - timedelta(hours=2), day=day)

    for one in grid:
        tick(one.start_at - 20 * S)

    payloads = list(Command.objects.order_by("pk").values_list("payload", flat=True))
    begins = [parse_timestamp(one["validFrom"]) for one in payloads]
    assert len(payloads) == quarters
    assert [one["targetValueKw"] for one in payloads] == [float(n) for n in range(quarters)]
    assert {later - earlier for earlier, later in pairwise(begins)} == {timedelta(minutes=15)}


# --- when it can not be sent now --------------------------------------------------------------------------------------


def switch_off(plant):
    Plant.objects.filter(pk=plant.pk).update(dispatch_enabled=False)


def observe(plant):
    Connection.objects.filter(pk=plant.connection_id).update(mode=ConnectionMode.OBSERVE)


def disconnect(plant):
    Plant.objects.filter(pk=plant.pk).update(connection=None)


def take_the_scope(plant):
    Connection.objects.filter(pk=plant.connection_id).update(scopes=["vcp:read"])


def lower_the_limit(plant):
    Plant.objects.filter(pk=plant.pk).update(max_import_kw=1.0)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (switch_off, "DISPATCH_OFF"),
        (lambda _plant: set_installation_dispatch(enabled=False), "DISPATCH_OFF"),
        (observe, "CONNECTION_OBSERVES"),
        (disconnect, "NOT_CONNECTED"),
        (take_the_scope, "SCOPE_MISSING"),
        (lower_the_limit, "CONSTRAINT_VIOLATION"),
        (lambda plant: factories.make_undecryptable(plant.connection), "CANNOT_BUILD"),
    ],
    ids=["plant", "installation", "observes", "connection", "scope", "limit", "key"],
)
def test_a_slot_that_can_not_be_sent_waits_and_says_why_and_is_missed_in_the_end(spoil, code):
    plant = plain_plant()
    Connection.objects.filter(pk=plant.connection_id).update(
        signed_families=sorted({*plant.connection.signed_families, Family.COMMAND_SITE_SETPOINT})
    )
    version = put_in_force(plant, slot("10:00", 5))
    spoil(plant)

    tick(at("10:00"))
    run = SlotRun.objects.get()
    waiting = (run.state, run.cause, run.command)
    tick(at("10:15"))

    assert waiting == ("WAITING", code, None)
    assert at("10:00") + 5 * S <= run.due_at <= at("10:00") + 15 * S
    assert runs_of(version) == [("MISSED", code)]
    assert not Command.objects.exists()


def test_a_slot_that_waited_is_sent_from_then_on_until_its_end():
    plant = plain_plant()
    version = put_in_force(plant, slot("10:00", 5))
    switch_off(plant)
    tick(at("10:00"))
    Plant.objects.update(dispatch_enabled=True)

    tick(at("10:01"))

    assert asked_of(plant) == [(5.0, "09:01:00", "09:15:00", "NORMAL")]
    assert runs_of(version) == [("COMMANDED", "")]


def test_one_plant_that_can_not_be_commanded_holds_up_no_other():
    link = factories.connection()
    bad, good = (factories.plant(on=link, capacity_kwh=0) for _ in range(2))
    for plant in (bad, good):
        put_in_force(plant, slot("10:00", 5))
    switch_off(bad)

    tick(at("10:00"))

    assert list(Command.objects.values_list("plant_id", flat=True)) == [good.pk]


def test_after_a_long_stop_only_the_slot_that_runs_now_is_sent():
    plant = plain_plant()
    version = put_in_force(plant, *[slot(f"1{n // 4}:{n % 4 * 15:02}", n + 1) for n in range(8)])
    tick(at("10:00"))

    tick(at("11:20"))

    assert [kw for kw, *_ in asked_of(plant)] == [1.0, 6.0]
    assert runs_of(version) == [
        ("COMMANDED", ""),
        *[("MISSED", "PLATFORM_DOWN")] * 4,
        ("COMMANDED", ""),
        *[("WAITING", "")] * 2,
    ]


# --- at the same moment -----------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_ticks_at_once_make_each_setpoint_once():
    link = factories.connection()
    plants = [factories.plant(on=link, capacity_kwh=0) for _ in range(6)]
    for plant in plants:
        put_in_force(plant, slot("10:00", 5))

    answers = together(*[lambda: tick(at("10:00"), limit=2)] * 3)
    tick(at("10:00"))

    assert not [one for one in answers if isinstance(one, Exception)]
    assert sorted(Command.objects.values_list("plant_id", flat=True)) == sorted(one.pk for one in plants)
    assert set(SlotRun.objects.values_list("state", flat=True)) == {"COMMANDED"}


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_plant_that_somebody_holds_waits_for_the_next_tick_and_holds_up_nobody():
    held, free = (plain_plant() for _ in range(2))
    for plant in (held, free):
        put_in_force(plant, slot("10:00", 5))

    with transaction.atomic():
        emergency_stop(held, at("10:00"))
        answer = Aside(lambda: tick(at("10:00"))).answer()

    assert answer == 1
    assert list(Command.objects.filter(kind="site-setpoint").values_list("plant_id", flat=True)) == [free.pk]
    tick(at("10:00") + S)
    assert SlotRun.objects.get(plant=held).cause == "LATCHED"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("ticks", [1, 2])
def test_a_tick_beside_an_emergency_leaves_nothing_to_be_sent(ticks):
    plant = plain_plant()
    put_in_force(plant, slot("10:00", 5))

    answers = together(*[lambda: tick(at("10:00"))] * ticks, lambda: emergency_stop(plant, at("10:00")))
    tick(at("10:00") + S)

    assert not [one for one in answers if isinstance(one, Exception)]
    assert set(Command.objects.exclude(kind="emergency").values_list("state", flat=True)) <= {"SUPERSEDED"}
    assert SlotRun.objects.get().state == RunState.PREEMPTED


@pytest.mark.django_db(transaction=True)
def test_a_tick_beside_publishing_sends_one_target_of_the_new_plan():
    plant = plain_plant()
    put_in_force(plant, slot("10:00", 5))
    version = checked(plant, slot("10:00", 8), at=at("10:00"))

    answers = together(lambda: tick(at("10:01")), lambda: publish_now(version, at("10:01")))
    tick(at("10:02"))

    assert not [one for one in answers if isinstance(one, Exception)]
    living = Command.objects.exclude(state__in=["CANCELLED", "SUPERSEDED"])
    assert [one.payload["targetValueKw"] for one in living] == [8.0]


def test_a_tick_that_dies_before_its_commit_leaves_the_slot_waiting(monkeypatch):
    plant = plain_plant()
    version = put_in_force(plant, slot("10:00", 5))

    def die(_changed):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(carried_by_us, "write_runs", die)
        with pytest.raises(KeyboardInterrupt):
            tick(at("10:00"))
    after_the_crash = (runs_of(version), Command.objects.count())
    tick(at("10:00") + S)

    assert after_the_crash == ([("WAITING", "")], 0)
    assert runs_of(version) == [("COMMANDED", "")]


# --- statements -------------------------------------------------------------------------------------------------------


def statements_for(plants):
    for plant in plants:
        put_in_force(plant, slot("10:00", 5), slot("10:15", 6))
    with CaptureQueriesContext(database) as captured:
        assert tick(at("10:00")) == len(plants)
    return len(captured)


def test_a_batch_of_more_plants_and_connections_takes_no_more_statements():
    few = statements_for([plain_plant() for _ in range(17)])
    many = statements_for([plain_plant() for _ in range(34)])

    assert few == many <= 34
