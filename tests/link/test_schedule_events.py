"""Schedule events and alarms of missed slots as they arrive in batches: attached to commands and plans, once each."""

import uuid

import pytest

from dispatch.models import Command, Kind, ScheduleNotice
from dispatch.states import State
from plants.models import DeadLetter, Disposition, InboundMessage
from schedules.models import PlanEvent, VokeSchedule
from tests import factories
from tests.dispatch.helpers import ask
from tests.link.helpers import ack, alarm, event
from tests.link.helpers import hear as hear_at
from tests.queries import queries_of
from tests.schedules.at_voke import NOON, SECOND, four_slots, only, plant_at_voke, published, send
from vcp import Direction, Family, ScheduleCreate, SetpointType, Slot, format_timestamp

pytestmark = pytest.mark.django_db


def hear(link, *batch):
    """A batch that arrives a few seconds after it was said."""
    return hear_at(link, *batch, at=NOON + 5 * SECOND)


def sent_plan(plant):
    version = published(plant, four_slots())
    send(plant)
    return version


def word(row, status, *, at=NOON, correlation=None, **members):
    ids = {} if correlation is None else {"correlationId": str(correlation)}
    payload = {"scheduleId": str(row.schedule_id), "status": status} | members
    return event(Family.EVENT_SCHEDULE, payload, site=row.plant, at=at, tail=status.lower(), **ids)


def correlation_of(row):
    return row.create_command.messages.get().correlation_id


def history(plant):
    return list(PlanEvent.objects.filter(plan__plant=plant, actor="Voke").values_list("word", flat=True))


def test_words_of_one_batch_are_applied_in_the_order_of_vokes_clock_whatever_their_order_on_the_queue():
    plant = plant_at_voke()
    row = only(sent_plan(plant))

    hear(
        plant.connection,
        word(row, "COMPLETED", at=NOON + 3 * SECOND),
        word(row, "ACCEPTED", at=NOON + SECOND),
        word(row, "ACTIVE", at=NOON + 2 * SECOND),
    )

    assert history(plant) == ["VOKE_ACCEPTED", "VOKE_ACTIVE", "VOKE_COMPLETED"]
    assert only(row.version).create_command.state == State.COMPLETED


def test_a_word_that_is_delivered_twice_is_applied_once():
    plant = plant_at_voke()
    row = only(sent_plan(plant))
    told = word(row, "ACCEPTED", correlation=correlation_of(row))

    hear(plant.connection, told)
    report = hear(plant.connection, told)

    assert report.duplicates == 1
    assert history(plant) == ["VOKE_ACCEPTED"]


def test_a_late_word_does_not_speak_over_a_newer_one_and_an_end_stays_an_end():
    plant = plant_at_voke()
    row = only(sent_plan(plant))
    hear(plant.connection, word(row, "COMPLETED", at=NOON + 3 * SECOND))

    hear(plant.connection, word(row, "ACTIVE"))

    late = only(row.version)
    assert (late.told, late.cause, late.create_command.state) == ("COMPLETED", "COMPLETED", State.COMPLETED)
    assert InboundMessage.objects.latest("pk").disposition == Disposition.NO_CHANGE


@pytest.mark.parametrize("schedule_id", ["s1", "6a1c0000-0000-4000-8000-000000000000", "x" * 120])
def test_a_schedule_that_is_not_ours_stays_a_notice(schedule_id):
    plant = plant_at_voke()
    sent_plan(plant)
    payload = {"scheduleId": schedule_id, "status": "ACTIVE"}

    hear(plant.connection, event(Family.EVENT_SCHEDULE, payload, site=plant, at=NOON, tail="activated"))

    assert ScheduleNotice.objects.get().schedule_id == schedule_id
    assert history(plant) == []


def test_an_event_with_the_correlation_of_another_kind_of_command_is_known_by_its_schedule():
    plant = plant_at_voke()
    row = only(sent_plan(plant))
    foreign = uuid.uuid4()

    hear(plant.connection, word(row, "ACCEPTED", correlation=foreign))

    assert only(row.version).accepted_at == NOON


def test_a_broken_payload_that_voke_acknowledges_as_rejected_ends_the_command():
    plant = plant_at_voke()
    row = only(sent_plan(plant))

    told = ack(
        "REJECTED",
        plant,
        correlation_of(row),
        at=NOON,
        commandType="schedule.create",
        rejectionCode="INVALID_PAYLOAD",
    )
    hear(plant.connection, told)

    command = only(row.version).create_command
    assert (command.state, command.cause) == (State.REJECTED, "INVALID_PAYLOAD")


def test_a_schedule_command_that_belongs_to_no_plan_is_moved_by_its_correlation():
    plant = factories.plant()
    begins = NOON
    payload = ScheduleCreate(
        schedule_id="by-hand",
        priority="NORMAL",
        slots=(
            Slot(
                starts_at=begins,
                ends_at=begins + 900 * SECOND,
                type=SetpointType.POWER,
                target_value_kw=5.0,
                direction=Direction.EXPORT,
                include_consumption=True,
            ),
        ),
    )
    command = ask(plant, payload, at=NOON)
    send(plant)
    told = event(
        Family.EVENT_SCHEDULE,
        {"scheduleId": "by-hand", "status": "ACTIVE"},
        site=plant,
        at=NOON,
        tail="activated",
        correlationId=str(command.messages.get().correlation_id),
    )

    hear(plant.connection, told)

    command.refresh_from_db()
    assert (command.kind, command.state) == (Kind.SCHEDULE_CREATE, State.EXECUTING)


def test_an_event_for_an_unknown_site_is_a_dead_letter_and_touches_nothing():
    plant = plant_at_voke()
    row = only(sent_plan(plant))
    payload = {"scheduleId": str(row.schedule_id), "status": "ACCEPTED"}

    hear(plant.connection, event(Family.EVENT_SCHEDULE, payload, site=str(uuid.uuid4()), at=NOON, tail="x"))

    assert DeadLetter.objects.get().reason == "UNKNOWN_SITE"
    assert only(row.version).accepted_at is None


def test_words_of_many_schedules_in_a_batch_cost_a_constant_number_of_statements():
    plant = plant_at_voke()
    link = plant.connection

    def batch(count):
        rows = [only(sent_plan(plant_at_voke(on=link))) for _ in range(count)]
        return [word(row, "ACCEPTED", correlation=correlation_of(row)) for row in rows]

    few, many = batch(2), batch(12)

    assert queries_of(lambda: hear(link, *few)) == queries_of(lambda: hear(link, *many))


# --- missed slots -----------------------------------------------------------------------------------------------------


def missed(row, slot=1, *, alarm_id="m1", **changes):
    metadata = {"scheduleId": str(row.schedule_id), "slot": slot}
    facts = {"code": "SCHEDULE_SLOT_MISSED", "metadata": metadata} | changes
    return alarm(row.plant, alarm_id, raised=NOON, **facts)


def test_an_alarm_of_a_missed_slot_stands_in_the_plans_history_with_the_slots_time():
    plant = plant_at_voke()
    row = only(sent_plan(plant))

    hear(plant.connection, missed(row))

    told = PlanEvent.objects.get(word="SLOT_MISSED")
    start = format_timestamp(NOON + 900 * SECOND)
    assert told.detail == {"schedule": str(row.schedule_id), "alarm": "m1", "slot": start}
    assert (told.plan_id, told.version_id) == (row.version.plan_id, row.version_id)


def test_the_same_alarm_told_again_and_its_clear_are_no_second_miss():
    plant = plant_at_voke()
    row = only(sent_plan(plant))
    hear(plant.connection, missed(row))

    hear(plant.connection, missed(row))
    hear(plant.connection, missed(row, cleared=NOON + SECOND))

    assert PlanEvent.objects.filter(word="SLOT_MISSED").count() == 1


@pytest.mark.parametrize(
    "metadata", [None, {}, {"scheduleId": 7}, {"scheduleId": "s1"}, {"scheduleId": str(uuid.UUID(int=1))}]
)
def test_a_missed_slot_of_nothing_that_we_know_is_an_alarm_only(metadata):
    plant = plant_at_voke()
    row = only(sent_plan(plant))

    hear(plant.connection, missed(row, metadata=metadata))

    assert not PlanEvent.objects.filter(word="SLOT_MISSED").exists()
    assert VokeSchedule.objects.count() == Command.objects.count() == 1


@pytest.mark.parametrize("slot", [None, -1, 99, "1", True])
def test_a_missed_slot_whose_number_makes_no_sense_is_told_without_its_time(slot):
    plant = plant_at_voke()
    row = only(sent_plan(plant))

    hear(plant.connection, missed(row, slot))

    assert "slot" not in PlanEvent.objects.get(word="SLOT_MISSED").detail
