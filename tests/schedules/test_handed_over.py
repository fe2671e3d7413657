"""A published plan goes from one carrier to the other, and nothing of it is carried by both."""

import pytest

from dispatch.models import Command
from plants.errors import Several
from plants.models import Plant
from schedules.models import SlotRun, VokeSchedule
from schedules.policy import current_schedule_policy
from schedules.services.publishing import republish
from tests.factories import OPERATOR
from tests.schedules.helpers import draft, values
from tests.schedules.plans import EVE, at, slot
from tests.schedules.publications import code_of, plain_plant, published, runs, states, tick

pytestmark = pytest.mark.django_db


# --- who carries it ---------------------------------------------------------------------------------------------------


def carried_by(plant, carrier):
    Plant.objects.filter(pk=plant.pk).update(schedule_carrier=carrier)


def again(version, now=EVE):
    return republish(
        organisation_id=version.plan.organisation_id, version_id=version.pk, actor=OPERATOR, at=now,
        policy=current_schedule_policy(), accept_warnings=True,
    )  # fmt: skip


def test_a_plan_that_voke_carries_makes_a_schedule_and_no_runs():
    version = published(plain_plant(schedule_carrier="VOKE"), slot("10:00", 5), slot("10:15", 6))

    assert version.carrier == "VOKE"
    (schedule,) = VokeSchedule.objects.all()
    assert schedule.create_command.kind == "schedule-create"
    assert not SlotRun.objects.exists()


def test_a_plan_goes_from_us_to_voke_in_mid_day_and_leaves_no_run_behind():
    plant = plain_plant()
    version = published(plant, slot("10:00", 5), slot("10:15", 6), slot("10:30", 7))
    tick(at("10:00"))
    carried_by(plant, "VOKE")

    now = again(version, at("10:05"))

    assert states(version.plan) == ["REPLACED", "PUBLISHED"]
    assert (now.carrier, now.number, values(now)) == ("VOKE", 2, [5, 6, 7])
    assert {state for state, _ in runs(version)} == {"WITHDRAWN"}
    payload = VokeSchedule.objects.get().create_command.payload
    assert [one["targetValueKw"] for one in payload["slots"]] == [5, 6, 7]
    tick(at("10:30"))
    assert Command.objects.filter(kind="site-setpoint").count() == 1


def test_a_plan_comes_from_voke_to_us_and_its_schedule_is_withdrawn():
    plant = plain_plant(schedule_carrier="VOKE")
    version = published(plant, slot("10:00", 5), slot("10:15", 6))
    Command.objects.filter(kind="schedule-create").update(state="ACCEPTED")
    carried_by(plant, "DISPATCHER")

    now = again(version, at("10:05"))

    assert runs(now) == [("WAITING", None)] * 2
    assert VokeSchedule.objects.get().unwanted_at == at("10:05")
    assert VokeSchedule.objects.get().successor_id == now.pk


def test_a_plan_is_only_handed_over_to_another_carrier_and_not_while_somebody_edits():
    plant = plain_plant()
    version = published(plant, slot("10:00", 5))

    assert code_of(lambda: again(version)) == "SAME_CARRIER"
    carried_by(plant, "VOKE")
    other = draft(plant, slot("10:00", 9))
    assert code_of(lambda: again(version)) == "DRAFT_EXISTS"
    assert code_of(lambda: again(other)) == "NOT_PUBLISHED"


def test_a_hand_over_that_the_rules_refuse_changes_nothing():
    plant = plain_plant()
    version = published(plant, slot("10:00", 80))
    Plant.objects.filter(pk=plant.pk).update(max_import_kw=50, schedule_carrier="VOKE")

    assert code_of(lambda: again(version), Several) == "SITE_LIMIT"
    assert states(version.plan) == ["PUBLISHED"]
