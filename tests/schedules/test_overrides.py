"""Overrides: begun by a person with a reason and an end, one at a time, and ended by one of five causes."""

from datetime import timedelta

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from dispatch.models import Command, Retraction
from dispatch.services.retracting import retract
from plants.errors import Conflict, DomainError, Invalid, NotFound
from plants.models import Plant
from schedules.models import Override, SlotRun
from schedules.selectors.overrides import open_override
from schedules.services.overrides import expire_overrides, extend_override
from tests import factories
from tests.dispatch.helpers import ask, lease, setpoint
from tests.dispatch.taking_back import take_back
from tests.factories import OPERATOR
from tests.schedules.carrying import (
    ANN,
    asked_of,
    emergency_stop,
    end,
    override,
    plain_plant,
    policy,
    put_in_force,
    released,
    sent,
    tick,
)
from tests.schedules.plans import at, slot
from tests.threads import together
from vcp import Priority

pytestmark = pytest.mark.django_db
S = timedelta(seconds=1)
TEN, ELEVEN = at("10:00"), at("11:00")


def extend(row, until, *, now):
    return extend_override(
        organisation_id=row.organisation_id,
        override_id=row.pk,
        until_at=until,
        actor=ANN,
        reason="still",
        at=now,
        policy=policy(),
    )


# --- begin ------------------------------------------------------------------------------------------------------------


def test_an_override_is_sent_now_above_the_plan_and_until_its_end():
    plant = plain_plant()

    row = override(plant, ELEVEN, now=TEN, payload=setpoint(7.0, priority=Priority.NORMAL, valid_until=None))

    command = Command.objects.get()
    assert asked_of(plant) == [(7.0, "09:00:00", "10:00:00", "HIGH")]
    assert (command.state, command.automatic, command.requested_by_name, command.reason) == (
        "QUEUED", False, "Ann", "peak",
    )  # fmt: skip
    assert (row.command, row.begun_at, row.until_at, row.by_name, row.reason) == (
        command, TEN, ELEVEN, "Ann", "peak",
    )  # fmt: skip
    assert row.payload == command.payload


@pytest.mark.parametrize(
    ("changes", "until", "code"),
    [
        ({"reason": " "}, ELEVEN, "REASON_MISSING"),
        ({}, TEN, "BAD_END"),
        ({}, ELEVEN.replace(tzinfo=None), "BAD_END"),
        ({}, TEN + timedelta(hours=24, seconds=1), "TOO_LONG"),
        ({"payload": setpoint(51.0)}, ELEVEN, "CONSTRAINT_VIOLATION"),
    ],
    ids=["reason", "past", "zone", "long", "limit"],
)
def test_an_override_that_is_not_sound_is_refused_and_nothing_is_stored(changes, until, code):
    plant = plain_plant()

    with pytest.raises(DomainError) as caught:
        override(plant, until, now=TEN, **changes)

    assert caught.value.code == code
    assert not Override.objects.exists()
    assert not Command.objects.exists()


def test_a_latched_plant_takes_no_override():
    plant = plain_plant()
    emergency_stop(plant, TEN)

    with pytest.raises(Conflict) as caught:
        override(plant, ELEVEN, now=TEN)

    assert caught.value.code == "PLANT_LATCHED"


def test_a_plant_of_somebody_else_takes_no_override():
    plant = plain_plant()
    plant.organisation_id = factories.organisation().pk

    with pytest.raises(NotFound):
        override(plant, ELEVEN, now=TEN)


def test_a_refused_override_leaves_the_one_that_is_open():
    plant = plain_plant()
    row = override(plant, ELEVEN, now=TEN)
    Plant.objects.filter(pk=plant.pk).update(dispatch_enabled=False)

    with pytest.raises(Conflict):
        override(plant, ELEVEN, now=TEN + S)

    assert Override.objects.get(ended_at__isnull=True) == row


def test_a_setpoint_of_the_plan_that_is_not_sent_yet_does_not_follow_the_override():
    plant = plain_plant()
    put_in_force(plant, slot("10:00", 5))
    tick(TEN - 20 * S)

    override(plant, ELEVEN, now=TEN - 10 * S)

    assert list(Command.objects.order_by("pk").values_list("state", "cause")) == [
        ("SUPERSEDED", "OVERRIDDEN"),
        ("QUEUED", "DUE"),
    ]


def test_an_override_is_said_again_where_a_strong_slot_that_was_sent_would_take_over():
    plant = plain_plant()
    put_in_force(plant, slot("10:00", 9, priority=Priority.HIGH))
    lease(plant.connection)
    tick(TEN - 20 * S)
    sent(plant, TEN - 20 * S)

    row = override(plant, ELEVEN, now=TEN - 10 * S)

    assert asked_of(plant)[1:] == [
        (5.0, "08:59:50", "10:00:00", "HIGH"),
        (5.0, "09:00:00", "10:00:00", "HIGH"),
    ]
    end(row, TEN + timedelta(minutes=30))
    assert not Command.objects.filter(kind="site-setpoint", state="QUEUED").exists()


# --- replace and extend -----------------------------------------------------------------------------------------------


def test_a_second_override_replaces_the_first_and_what_voke_holds_of_that_is_taken_back_when_it_would_return():
    plant = plain_plant()
    lease(plant.connection)
    first = override(plant, ELEVEN, now=TEN)
    sent(plant, TEN)

    override(plant, at("10:30"), now=at("10:10"), kw=3.0)

    first.refresh_from_db()
    assert (first.end_cause, first.ended_at, first.ended_by_name) == ("REPLACED", at("10:10"), "Ann")
    taken_back = Retraction.objects.get(command=first.command)
    assert (taken_back.how, taken_back.due_at) == ("BASE_MODE", at("10:30"))


def test_an_override_that_is_extended_asks_for_the_same_until_later():
    plant = plain_plant()
    lease(plant.connection)
    first = override(plant, ELEVEN, now=TEN)
    sent(plant, TEN)

    extend(first, at("12:00"), now=at("10:50"))

    assert asked_of(plant)[1] == (5.0, "09:50:00", "11:00:00", "HIGH")
    assert [row.until_at for row in Override.objects.filter(ended_at__isnull=True)] == [at("12:00")]
    assert Retraction.objects.get(command=first.command).how == "FOLLOWED"


def test_the_plan_stays_pre_empted_over_an_extension():
    plant = plain_plant()
    version = put_in_force(plant, slot("10:00", 5), slot("10:15", 6))
    row = override(plant, at("10:15"), now=at("09:50"))
    tick(at("10:14") + 45 * S)

    extend(row, at("10:40"), now=at("10:14") + 50 * S)
    tick(at("10:15"))

    assert set(SlotRun.objects.filter(slot__version=version).values_list("state", flat=True)) == {"PREEMPTED"}
    assert not Command.objects.filter(state="QUEUED", automatic=True).exists()


# --- end --------------------------------------------------------------------------------------------------------------


def test_an_override_that_ended_can_not_be_ended_or_extended_again():
    row = override(plain_plant(), ELEVEN, now=TEN)
    end(row, at("10:10"))

    codes = []
    for work in (lambda: end(row, at("10:11")), lambda: extend(row, at("12:00"), now=at("10:11"))):
        with pytest.raises(Conflict) as caught:
            work()
        codes.append(caught.value.code)

    assert codes == ["NOT_OPEN", "NOT_OPEN"]


def test_an_override_ends_with_a_reason_only():
    row = override(plain_plant(), ELEVEN, now=TEN)

    with pytest.raises(Invalid) as caught:
        end(row, at("10:10"), reason=" ")

    assert caught.value.code == "REASON_MISSING"


def test_an_override_that_was_never_sent_vanishes():
    row = override(plain_plant(), ELEVEN, now=TEN)

    end(row, at("10:10"))

    assert list(Command.objects.values_list("kind", "state")) == [("site-setpoint", "CANCELLED")]


# --- the tick ---------------------------------------------------------------------------------------------------------


def rejected(row):
    Command.objects.filter(pk=row.command_id).update(state="REJECTED")


def taken_back_by_hand(row):
    retract(command_id=row.command_id, actor=OPERATOR, reason="no", at=at("10:10"), policy=policy().dispatch)


def stopped(row):
    emergency_stop(row.plant, at("10:05"))
    released(row.plant, at("10:06"))


@pytest.mark.parametrize(
    ("happens", "cause"),
    [
        (lambda _row: None, ""),
        (lambda row: Command.objects.update(state="UNCONFIRMED"), ""),
        (rejected, "REFUSED"),
        (lambda row: Command.objects.update(state="RETURNED"), "REFUSED"),
        (taken_back_by_hand, "ENDED"),
        (stopped, "EMERGENCY"),
    ],
    ids=["nothing", "silence", "rejected", "returned", "taken back", "emergency"],
)
@pytest.mark.parametrize("arrived", [True, False], ids=["sent", "unsent"])
def test_an_override_ends_when_nothing_holds_it_any_more(happens, cause, arrived):
    plant = plain_plant()
    row = override(plant, ELEVEN, now=TEN)
    if arrived:
        lease(plant.connection)
        sent(plant, TEN)
    happens(row)

    expire_overrides(at=at("10:10"))

    row.refresh_from_db()
    assert (row.end_cause, row.ended_at is not None) == (cause, cause != "")


def test_an_override_expires_at_its_end_however_late_the_tick_is():
    row = override(plain_plant(), ELEVEN, now=TEN)

    expire_overrides(at=ELEVEN - S)
    before = Override.objects.get().ended_at
    expire_overrides(at=ELEVEN + timedelta(hours=3))

    row.refresh_from_db()
    assert (before, row.end_cause, row.ended_at) == (None, "EXPIRED", ELEVEN)


def test_more_overrides_are_ended_in_the_same_number_of_statements():
    counts = []
    for count in (2, 6):
        for _ in range(count):
            override(plain_plant(), ELEVEN, now=TEN)
        with CaptureQueriesContext(database) as captured:
            assert expire_overrides(at=ELEVEN) == count
        counts.append(len(captured))

    assert counts[0] == counts[1] <= 6


@pytest.mark.django_db(transaction=True)
def test_of_two_overrides_at_once_one_is_in_force_and_the_other_replaced():
    plant = plain_plant()

    answers = together(*[lambda: override(plant, ELEVEN, now=TEN)] * 2)

    assert not [one for one in answers if isinstance(one, Exception)]
    assert sorted(Override.objects.values_list("end_cause", flat=True)) == ["", "REPLACED"]
    assert Command.objects.filter(state="QUEUED").count() == 1


@pytest.mark.django_db(transaction=True)
def test_an_override_beside_an_emergency_is_refused_or_ended_by_it():
    plant = plain_plant()

    began, _ = together(lambda: override(plant, ELEVEN, now=TEN), lambda: emergency_stop(plant, TEN))
    expire_overrides(at=TEN + S)

    assert isinstance(began, Conflict | Override)
    assert set(Override.objects.values_list("end_cause", flat=True)) <= {"EMERGENCY"}
    assert not Command.objects.filter(kind="site-setpoint", state="QUEUED").exists()


@pytest.mark.django_db(transaction=True)
def test_an_override_beside_the_tick_leaves_one_target_in_force():
    plant = plain_plant()
    put_in_force(plant, slot("10:00", 9))

    answers = together(lambda: tick(TEN), lambda: override(plant, ELEVEN, now=TEN))
    tick(TEN + S)

    assert not [one for one in answers if isinstance(one, Exception)]
    living = Command.objects.exclude(state__in=["CANCELLED", "SUPERSEDED"])
    assert [one.payload["targetValueKw"] for one in living] == [5.0]
    assert SlotRun.objects.get().state == "PREEMPTED"


# --- what is shown ----------------------------------------------------------------------------------------------------


def test_the_override_in_force_is_told_by_one_query_until_its_time_is_over(django_assert_num_queries):
    plant = plain_plant()
    override(plant, ELEVEN, now=TEN)
    second = override(plant, ELEVEN, now=at("10:10"))
    override(plain_plant(), ELEVEN, now=TEN)

    with django_assert_num_queries(1):
        found = open_override(plant_id=plant.pk, at=at("10:30"))

    assert found == second
    assert open_override(plant_id=plant.pk, at=ELEVEN) is None


# --- under a base mode that takes something else back -----------------------------------------------------------------


def test_an_override_that_the_base_mode_of_another_taking_back_ended_is_said_again_after_it():
    plant = plain_plant()
    lease(plant.connection)
    override(plant, ELEVEN, now=TEN)
    strong = setpoint(9.0, valid_from=at("10:05"), valid_until=at("10:30"), priority=Priority.HIGH)
    by_hand = ask(plant, strong, at=at("10:05"))
    sent(plant, at("10:05"))

    base_mode = take_back(by_hand, at=at("10:10")).by_command
    for second in range(1, 4):
        tick(at("10:10") + second * S)

    again = Command.objects.filter(pk__gt=base_mode.pk)
    assert asked_of(plant)[-1] == (5.0, "09:10:01", "10:00:00", "HIGH")
    assert again.count() == 1


def test_an_override_that_covers_what_is_taken_back_is_not_ended_by_it():
    plant = plain_plant()
    lease(plant.connection)
    override(plant, ELEVEN, now=TEN)
    by_hand = ask(plant, setpoint(9.0, valid_from=at("10:05"), valid_until=at("10:30")), at=at("10:05"))
    sent(plant, at("10:05"))

    assert take_back(by_hand, at=at("10:10")).how == "FOLLOWED"
    assert not Command.objects.filter(kind="mode").exists()
