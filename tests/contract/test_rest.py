"""What Voke's REST tells of a plant, asked for over HTTP: site config that drifts, schedules that are forgotten or
kept, and a REST side that is out of order.

The clock stands still between instants, so two looks lie minutes apart and cost none. What is asked is the stand-in's
own REST server; only the pauses between two tries of one request are cut short.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from dispatch.models import Command, Kind, SiteConfigVersion, SiteReport
from dispatch.policy import current_policy
from dispatch.services.site_config import republish_plant
from dispatch.states import State
from esm.ticks import run_tick
from link.rest import Retries
from link.site_reports import current_report_options
from plants.models import Alarm, Plant
from schedules.models import PlanEvent, PlanVersion, VokeSchedule
from tests.contract.plans_world import PlansWorld
from tests.contract.world import memory_wiring
from tests.factories import OPERATOR
from voke_sim.faults import FaultKind, FaultRule
from voke_sim.rest_faults import RestFault

TICKS = ("queue_due", "settle_late", "ack_overdue", "plan_schedules", "site_config")
MINUTE = timedelta(minutes=1)
GRACE = timedelta(seconds=120)
EVERY = timedelta(seconds=300)
Open = Callable[..., AbstractContextManager[PlansWorld]]


@pytest.fixture
def make_readable(transactional_db: None, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Open:
    """Opens a world in memory whose Voke is read over REST, at the pace of an installation that changed nothing."""
    settings.SITE_REPORT_EVERY_S = EVERY.total_seconds()
    settings.DRIFT_GRACE_S = GRACE.total_seconds()
    settings.PLAN_LOOK_S = 60
    settings.SITE_REPORT_PACE_MS = 0
    quick = Retries(attempts=3, first_s=0.01, most_s=0.05, within_s=10.0)
    monkeypatch.setattr(
        "esm.ticks.current_report_options", lambda: replace(current_report_options(), retries=quick)
    )
    return partial(PlansWorld, memory_wiring, rest=True, ticks=TICKS)


def look(world: PlansWorld, tick: str, *, later: timedelta = timedelta()) -> None:
    """Let that tick ask over REST, so much later, and what follows from the answers happen."""
    world.go_to(world.now + later)
    run_tick(tick, at=world.now)
    world.go_to(world.now)


def report_of(plant: Plant) -> SiteReport:
    return SiteReport.objects.get(plant=plant)


def open_alarms(code: str) -> list[str]:
    return list(Alarm.objects.filter(code=code, cleared_at__isnull=True).values_list("message", flat=True))


def sent_at_all() -> int:
    """How many schedules were asked for or cancelled, of any plant."""
    return Command.objects.filter(kind__in=(Kind.SCHEDULE_CREATE, Kind.SCHEDULE_CANCEL)).count()


def reconciled(version: PlanVersion) -> list[PlanEvent]:
    return list(PlanEvent.objects.filter(version=version, word="RECONCILED").order_by("pk"))


def forget(world: PlansWorld) -> None:
    """Voke loses the schedules of its plant, now, without a word."""
    site = str(world.vokes.voke_uuid)
    world.faults.add(FaultRule(kind=FaultKind.FORGET_SCHEDULES, count=1, site=site))


def refuse(world: PlansWorld, *status: int, count: int | None = None) -> None:
    """From now on each read of a site is refused with that status; without one REST is well again."""
    world.voke.rest_faults.replace([RestFault(status=one, count=count) for one in status])


# --- site config ------------------------------------------------------------------------------------------------------


def test_limits_that_were_changed_at_voke_are_told_after_two_looks_and_a_publication_mends_them(
    make_readable: Open,
):
    with make_readable() as world:
        look(world, "site_reports", later=GRACE)
        drift_before = report_of(world.ours).drift
        world.voke.set_limits(world.ours.external_plant_id, maxImportKw=70.0)
        look(world, "site_reports", later=EVERY)
        told_after_one = open_alarms("SITE_CONFIG_DRIFT")
        look(world, "site_reports", later=EVERY)

        assert (drift_before, told_after_one) == ([], [])
        (row,) = report_of(world.ours).drift
        assert (row["family"], row["field"], row["ours"], row["theirs"], row["looks"]) == (
            "config.constraints", "maxImportKw", 100.0, 70.0, 2,
        )  # fmt: skip
        (message,) = open_alarms("SITE_CONFIG_DRIFT")
        assert message.endswith("maxImportKw ours 100, Voke's 70.")
        assert Alarm.objects.get(code="SITE_CONFIG_DRIFT").plant == world.ours
        assert report_of(world.vokes).drift == []

        versions = SiteConfigVersion.objects.count()
        republish_plant(plant_id=world.ours.pk, actor=OPERATOR, policy=current_policy())
        world.go_to(world.now)
        look(world, "site_reports", later=EVERY)

        assert report_of(world.ours).payload["constraints"]["maxImportKw"] == 100.0
        assert (report_of(world.ours).drift, open_alarms("SITE_CONFIG_DRIFT")) == ([], [])
        assert report_of(world.ours).drifted_since is None
        assert SiteConfigVersion.objects.count() == versions  # the same again is no new version


# --- schedules --------------------------------------------------------------------------------------------------------


def test_a_schedule_that_voke_forgot_is_made_anew_once_with_the_slots_left(make_readable: Open):
    with make_readable() as world:
        _, version = world.plan(20, 30, 25)
        world.go_to("06:00")
        look(world, "plan_reconcile", later=MINUTE)
        seen = VokeSchedule.objects.get(version=version).seen_at
        world.go_to("06:16")
        forget(world)
        for _ in range(5):
            look(world, "plan_reconcile", later=MINUTE)
        for when in ("06:30", "06:45"):
            world.go_to(when)

        assert seen == world.instant("06:01")
        lost, new = VokeSchedule.objects.filter(version=version).order_by("pk")
        assert (lost.cause, new.cause, new.takes_place_of) == ("LOST_AT_VOKE", "COMPLETED", lost)
        assert lost.create_command.state == State.FAILED
        (event,) = reconciled(version)
        assert event.detail["before"] == str(lost.schedule_id)
        assert event.detail["schedule"] == str(new.schedule_id)
        left = [slot["targetValueKw"] for slot in new.create_command.payload["slots"]]
        assert left == [30.0, 25.0]
        assert [kw for _, kw in world.steps(world.vokes)] == [20.0, 30.0, None, 30.0, 25.0, None]
        assert sent_at_all() == 2


def test_a_stand_in_that_comes_back_with_its_schedules_is_sent_nothing_again(make_readable: Open):
    with make_readable() as world:
        _, version = world.plan(20, 30)
        world.go_to("06:00")
        look(world, "plan_reconcile", later=MINUTE)
        address = world.voke.rest_url
        world.crash_voke()
        for _ in range(4):
            look(world, "plan_reconcile", later=2 * MINUTE)
        for when in ("06:15", "06:30"):
            world.go_to(when)

        schedule = VokeSchedule.objects.get(version=version)
        assert world.voke.rest_url != address  # it was asked anew, not remembered
        assert schedule.seen_at > world.instant("06:09")
        assert (schedule.cause, schedule.missing_at) == ("COMPLETED", None)
        assert (sent_at_all(), reconciled(version)) == (1, [])
        assert world.steps(world.vokes) == [("06:00:00", 20.0), ("06:15:00", 30.0), ("06:30:00", None)]


# --- a REST side that is out of order ---------------------------------------------------------------------------------


def test_while_rest_is_down_it_is_told_nothing_is_resent_and_it_goes_on_when_rest_is_back(
    make_readable: Open,
):
    with make_readable() as world:
        _, version = world.plan(20, 30, 25)
        world.go_to("06:00")
        look(world, "plan_reconcile", later=MINUTE)
        before = report_of(world.vokes)
        forget(world)
        codes = []
        for status in (503, 401):
            refuse(world, status)
            for _ in range(3):
                look(world, "plan_reconcile", later=1.5 * MINUTE)
                codes.append(report_of(world.vokes).error_code)
        while_down = sent_at_all(), reconciled(version), report_of(world.vokes)
        refuse(world)
        look(world, "plan_reconcile", later=MINUTE)
        after_one = sent_at_all()
        for _ in range(2):
            look(world, "plan_reconcile", later=MINUTE)

        assert codes == ["REST_UNAVAILABLE"] * 3 + ["REST_UNAUTHORIZED"] * 3
        sent, events, report = while_down
        known = before.payload, before.answered_at
        assert (sent, events, (report.payload, report.answered_at)) == (1, [], known)
        assert after_one == 1
        assert (report_of(world.vokes).error_code, sent_at_all(), len(reconciled(version))) == ("", 2, 1)
        assert [kw for _, kw in world.steps(world.vokes)] == [20.0, None, 20.0]


def test_an_alarm_of_drift_stays_while_rest_is_down_and_a_look_that_fails_is_none_of_the_two(
    make_readable: Open,
):
    with make_readable() as world:
        look(world, "site_reports", later=GRACE)
        world.voke.set_limits(world.vokes.external_plant_id, maxExportKw=10.0)
        look(world, "site_reports", later=EVERY)
        refuse(world, 503)
        look(world, "site_reports", later=EVERY)
        unconfirmed = open_alarms("SITE_CONFIG_DRIFT"), report_of(world.vokes).drift[0]["looks"]
        refuse(world, 503, count=1)  # one refusal is tried again within the look
        look(world, "site_reports", later=EVERY)
        raised = open_alarms("SITE_CONFIG_DRIFT")
        refuse(world, 401)
        look(world, "site_reports", later=EVERY)

        assert unconfirmed == ([], 1)
        assert len(raised) == 1
        assert open_alarms("SITE_CONFIG_DRIFT") == raised
        assert [report_of(plant).error_code for plant in world.plants] == ["REST_UNAUTHORIZED"] * 2
