"""What Voke says it runs, compared with what we believe: lost schedules come back once, kept ones are cancelled."""

from datetime import timedelta

import pytest

from dispatch.models import Command, Kind, SiteReport
from dispatch.services.overdue import mark_ack_overdue
from dispatch.states import State
from plants.models import Alarm, AlarmChange
from schedules.models import Override, PlanEvent, VokeSchedule
from schedules.services import reconcile
from schedules.services.reconcile import GRACE, LOOKS_APART, compare, plants_to_look_at
from tests import factories
from tests.dispatch.helpers import ask, stop_now
from tests.queries import queries_of
from tests.schedules.at_voke import (
    NOON,
    SECOND,
    cancelled,
    four_slots,
    history,
    in_force,
    only,
    plant_at_voke,
    policy,
    published,
    schedules_of,
    send,
    turns,
    voke_says,
)
from tests.schedules.plans import at

pytestmark = pytest.mark.django_db
FIRST = NOON + timedelta(minutes=2)
SECOND_LOOK = FIRST + LOOKS_APART
NOT_TOLD = object()


def report(plant, active, now):
    """A report that was asked for at `now`; `active` is a schedule, an id, None, or NOT_TOLD."""
    payload = {"siteId": str(plant.voke_uuid)}
    if active is not NOT_TOLD:
        named = str(active.schedule_id) if isinstance(active, VokeSchedule) else active
        payload["activeSchedule"] = None if named is None else {"scheduleId": named, "status": "ACTIVE"}
    row, _ = SiteReport.objects.update_or_create(
        plant=plant, defaults={"asked_at": now, "answered_at": now, "payload": payload}
    )
    return row


def look(plant, active=None, now=FIRST):
    compare(plant, report(plant, active, now), now, policy=policy(), chance=lambda: 0.5)


def creates(plant):
    return Command.objects.filter(plant=plant, kind=Kind.SCHEDULE_CREATE).count()


def test_a_schedule_that_is_missed_at_two_looks_is_made_anew_with_the_slots_left():
    plant = plant_at_voke()
    version = in_force(plant)
    look(plant)
    assert (only(version).missing_at, creates(plant)) == (FIRST, 1)

    look(plant, now=SECOND_LOOK)

    lost, new = schedules_of(version)
    assert (lost.cause, lost.create_command.state) == ("LOST_AT_VOKE", State.FAILED)
    assert lost.create_command.cause == "LOST_AT_VOKE"
    assert new.takes_place_of_id == lost.pk
    assert len(new.create_command.payload["slots"]) == 4
    assert history(version)[-1] == "RECONCILED"


def test_it_is_made_anew_once():
    plant = plant_at_voke()
    version = in_force(plant)
    look(plant)
    look(plant, now=SECOND_LOOK)

    for number in range(1, 10):
        look(plant, now=SECOND_LOOK + number * SECOND)

    assert len(schedules_of(version)) == 2


def test_one_look_is_not_enough_and_two_that_are_close_together_are_one():
    plant = plant_at_voke()
    version = in_force(plant)

    look(plant)
    look(plant, now=FIRST + LOOKS_APART - SECOND)

    assert len(schedules_of(version)) == 1


def test_a_sight_in_between_begins_the_count_anew():
    plant = plant_at_voke()
    version = in_force(plant)
    look(plant)
    look(plant, only(version), now=FIRST + 20 * SECOND)

    look(plant, now=SECOND_LOOK)

    assert len(schedules_of(version)) == 1
    assert only(version).seen_at == FIRST + 20 * SECOND


def test_a_member_that_is_absent_tells_nothing():
    plant = plant_at_voke()
    version = in_force(plant)

    look(plant, NOT_TOLD)
    look(plant, NOT_TOLD, now=SECOND_LOOK)

    assert only(version).missing_at is None


@pytest.mark.parametrize("active", [{"status": "ACTIVE"}, "text", 7, [], {"scheduleId": 3}])
def test_a_member_that_is_not_understood_tells_nothing(active):
    plant = plant_at_voke()
    version = in_force(plant)
    row = report(plant, None, FIRST)
    row.payload["activeSchedule"] = active

    compare(plant, row, FIRST, policy=policy())

    assert only(version).missing_at is None
    assert not Alarm.objects.exists()


def test_a_failed_report_tells_nothing():
    plant = plant_at_voke()
    version = in_force(plant)
    row = report(plant, None, FIRST)
    row.error_code = "REST_TIMEOUT"

    compare(plant, row, FIRST, policy=policy())

    assert only(version).missing_at is None


def test_a_schedule_is_not_missed_before_its_first_slot_nor_in_a_gap_nor_while_it_is_young():
    plant = plant_at_voke()
    slots = [four_slots()[1], four_slots()[3]]
    version = published(plant, slots)
    send(plant)
    voke_says(only(version), "ACCEPTED", now=at("12:20"))

    for now in (at("12:05"), at("12:20") + GRACE - SECOND, at("12:35"), at("12:45")):
        look(plant, now=now)
        assert only(version).missing_at is None
    look(plant, now=at("12:46"))
    assert only(version).missing_at == at("12:46")


def test_while_another_schedule_runs_there_ours_may_stand_beneath_it():
    plant = plant_at_voke()
    version = in_force(plant)
    look(plant)

    look(plant, "6a1c0000-0000-4000-8000-000000000000", now=SECOND_LOOK)

    assert only(version).missing_at is None


def test_nothing_is_missed_while_something_stronger_stands_above_the_plan():
    plant = plant_at_voke()
    version = in_force(plant)
    override = Override.objects.create(
        organisation=plant.organisation,
        plant=plant,
        payload={},
        begun_at=NOON,
        until_at=at("13:00"),
        by_name="Ann",
        reason="test",
    )
    look(plant)
    look(plant, now=SECOND_LOOK)
    assert only(version).missing_at is None
    Override.objects.filter(pk=override.pk).update(ended_at=SECOND_LOOK)
    ask(plant, stop_now(), at=SECOND_LOOK)

    look(plant, now=SECOND_LOOK + 2 * GRACE)

    assert only(version).missing_at is None


def test_a_create_that_met_silence_is_accepted_by_the_sight_of_its_schedule():
    plant = plant_at_voke()
    version = published(plant, four_slots())
    send(plant)
    mark_ack_overdue(at=NOON + factories.policy().ack_timeout)

    look(plant, only(version))

    row = only(version)
    assert row.accepted_at == FIRST
    assert (row.create_command.state, row.create_command.cause) == (State.EXECUTING, "SEEN_AT_VOKE")


def test_a_create_that_met_silence_and_is_not_there_is_made_anew():
    plant = plant_at_voke()
    version = published(plant, four_slots())
    send(plant)
    mark_ack_overdue(at=NOON + factories.policy().ack_timeout)

    look(plant)
    look(plant, now=SECOND_LOOK)

    assert len(schedules_of(version)) == 2


def test_a_create_that_is_still_on_its_way_is_not_missed():
    plant = plant_at_voke()
    version = published(plant, four_slots())
    send(plant)

    look(plant)
    look(plant, now=SECOND_LOOK)

    assert only(version).missing_at is None


def test_a_schedule_that_was_cancelled_and_still_runs_is_cancelled_again():
    plant = plant_at_voke()
    version = in_force(plant)
    cancelled(version)
    send(plant)
    voke_says(only(version), "CANCELLED", about=only(version).cancel_command)

    look(plant, only(version))
    turns(FIRST)

    row = only(version)
    assert (row.cancels, row.cancel_command.state) == (2, State.QUEUED)
    assert history(version)[-1] == "RECONCILED"


def test_a_report_older_than_the_end_does_not_revive_a_schedule():
    plant = plant_at_voke()
    version = in_force(plant)
    cancelled(version)
    send(plant)
    voke_says(only(version), "CANCELLED", about=only(version).cancel_command, now=FIRST)

    look(plant, only(version), now=FIRST + GRACE - SECOND)

    assert only(version).gone_at == FIRST


def test_a_lost_schedule_that_shows_up_again_is_cancelled_since_another_took_its_place():
    plant = plant_at_voke()
    version = in_force(plant)
    look(plant)
    look(plant, now=SECOND_LOOK)
    lost, _new = schedules_of(version)

    look(plant, lost, now=SECOND_LOOK + timedelta(minutes=2))
    turns(SECOND_LOOK + timedelta(minutes=2))

    cancel = Command.objects.get(plant=plant, kind=Kind.SCHEDULE_CANCEL)
    assert cancel.payload["scheduleId"] == str(lost.schedule_id)


def test_a_cancellation_that_was_given_up_is_said_once_more_for_each_sight():
    plant = plant_at_voke()
    version = in_force(plant)
    cancelled(version)
    VokeSchedule.objects.update(cancels=6, due_at=at("13:00"))
    Command.objects.filter(kind=Kind.SCHEDULE_CANCEL).update(state=State.RETURNED)

    look(plant, only(version))
    turns(FIRST)
    turns(FIRST + SECOND)

    assert only(version).cancels == 7


def test_a_schedule_that_is_not_ours_is_told_once_and_not_touched():
    plant = plant_at_voke()
    for number in range(3):
        look(plant, "6a1c0000-0000-4000-8000-000000000000", now=FIRST + number * timedelta(minutes=1))

    alarm = Alarm.objects.get(plant=plant)
    assert (alarm.code, alarm.cleared_at, alarm.raised_at) == ("FOREIGN_SCHEDULE", None, FIRST)
    assert AlarmChange.objects.filter(alarm=alarm).count() == 1
    assert not Command.objects.filter(plant=plant).exists()
    look(plant, None, now=FIRST + timedelta(minutes=5))
    alarm.refresh_from_db()
    assert alarm.cleared_at is not None


def test_a_schedule_of_another_plant_is_foreign_here():
    plant = plant_at_voke()
    other = in_force(plant_at_voke())

    look(plant, only(other))

    assert Alarm.objects.get(plant=plant).code == "FOREIGN_SCHEDULE"
    assert only(other).seen_at is None


def test_it_is_lost_only_so_often_and_then_a_person_is_told():
    plant = plant_at_voke()
    version = in_force(plant)
    now = FIRST
    for _ in range(60):
        send(plant, now=now)
        VokeSchedule.objects.filter(gone_at=None, accepted_at=None).update(accepted_at=now)
        now += timedelta(seconds=50)
        look(plant, now=now)

    assert len(schedules_of(version)) == policy().most_turns
    assert Alarm.objects.get(plant=plant, cleared_at=None).code == "PLAN_NOT_CARRIED_OUT"
    version.refresh_from_db()
    assert version.state == "PUBLISHED"


def test_a_crash_while_it_is_made_anew_leaves_it_lost_and_the_next_look_does_it(monkeypatch):
    plant = plant_at_voke()
    version = in_force(plant)
    look(plant)

    def crash(*_args, **_named):
        raise RuntimeError("killed")

    with monkeypatch.context() as broken:
        broken.setattr(reconcile, "make_anew", crash)
        with pytest.raises(RuntimeError):
            look(plant, now=SECOND_LOOK)
    assert only(version).create_command.state == State.ACCEPTED

    look(plant, now=SECOND_LOOK + SECOND)

    assert len(schedules_of(version)) == 2


def test_a_plant_without_schedules_costs_few_statements():
    plant = plant_at_voke()
    row = report(plant, None, FIRST)

    assert queries_of(lambda: compare(plant, row, FIRST, policy=policy())) <= 4


# --- whom to ask ------------------------------------------------------------------------------------------------------


def test_those_in_doubt_are_asked_first_then_those_not_seen_for_long():
    calm, unseen, missed, later = (plant_at_voke() for _ in range(4))
    for plant in (calm, unseen, missed):
        in_force(plant)
    published(later, four_slots(first="18:00"))
    VokeSchedule.objects.filter(plant=calm).update(seen_at=FIRST)
    VokeSchedule.objects.filter(plant=missed).update(missing_at=FIRST, seen_at=FIRST)

    found = plants_to_look_at(at=FIRST + SECOND, every=timedelta(seconds=60), limit=10)

    assert found == [missed.pk, unseen.pk]
    assert plants_to_look_at(at=FIRST + SECOND, every=timedelta(seconds=60), limit=1) == [missed.pk]


def test_a_plan_event_tells_what_was_reconciled():
    plant = plant_at_voke()
    version = in_force(plant)
    look(plant)
    look(plant, now=SECOND_LOOK)

    event = PlanEvent.objects.filter(word="RECONCILED").get()
    lost, new = schedules_of(version)
    assert event.detail == {
        "schedule": str(new.schedule_id),
        "before": str(lost.schedule_id),
        "cause": "LOST_AT_VOKE",
    }
