"""Publishing, replacing and cancelling a plan: one version in force, and what reaches the plant follows it."""

import pytest

from dispatch.models import Command
from plants.errors import Invalid, NotFound, Several
from plants.models import Plant
from schedules.models import PlanEvent, PlanState, PlanVersion, RunState, SlotRun
from schedules.policy import current_schedule_policy
from schedules.services import publishing
from schedules.services.publishing import MOST_AT_ONCE, publish, publish_many
from tests import factories
from tests.dispatch.helpers import ask, stop_now
from tests.factories import OPERATOR
from tests.queries import queries_of
from tests.schedules.helpers import check, checked, draft, values
from tests.schedules.plans import DAY, EVE, at, slot
from tests.schedules.publications import (
    cancelled,
    code_of,
    plain_plant,
    publish_version,
    published,
    runs,
    states,
    tick,
)
from tests.threads import together

pytestmark = pytest.mark.django_db


# --- what may be published --------------------------------------------------------------------------------------------


def test_a_checked_version_is_published_with_a_run_for_each_slot_and_who_did_it():
    version = published(plain_plant(), slot("10:00", 5), slot("10:15", 6))

    version.refresh_from_db()
    assert (version.state, version.carrier, version.published_at) == ("PUBLISHED", "DISPATCHER", EVE)
    assert version.published_by_name == "operator"
    assert runs(version) == [("WAITING", None)] * 2
    event = version.plan.events.last()
    assert (event.word, event.actor, event.detail) == ("PUBLISHED", "operator", {"carrier": "DISPATCHER"})


def test_only_a_checked_version_of_the_organisation_is_published():
    plant = plain_plant()
    version = draft(plant, slot("10:00", 5))
    stranger = factories.organisation()

    assert code_of(lambda: publish_version(version)) == "NOT_CHECKED"
    check(version)
    with pytest.raises(NotFound):
        publish(
            organisation_id=stranger.pk, version_id=version.pk, actor=OPERATOR, at=EVE,
            policy=current_schedule_policy(),
        )  # fmt: skip
    publish_version(version)
    assert code_of(lambda: publish_version(version)) == "NOT_CHECKED"


def test_a_plan_without_slots_is_not_published():
    assert code_of(lambda: publish_version(checked(plain_plant()))) == "NOTHING_PLANNED"


def test_the_rules_run_again_and_what_they_find_is_kept():
    plant = plain_plant()
    version = checked(plant, slot("10:00", 30))
    Plant.objects.filter(pk=plant.pk).update(max_import_kw=20)

    with pytest.raises(Several) as caught:
        publish_version(version)

    (problem,) = caught.value.problems
    assert (problem.code, problem.path) == ("SITE_LIMIT", "slots[0]")
    assert problem.message.endswith("20 kW would fit")
    version.refresh_from_db()
    assert (version.state, [one["code"] for one in version.problems]) == ("DRAFT", ["SITE_LIMIT"])
    assert not SlotRun.objects.exists()


def test_warnings_must_be_accepted():
    version = checked(plain_plant(max_charge_kw=4), slot("10:00", 5))

    assert code_of(lambda: publish_version(version)) == "WARNINGS_NOT_ACCEPTED"
    assert publish_version(version, accept_warnings=True).state == "PUBLISHED"


def test_a_warning_that_nobody_has_seen_can_not_be_accepted_until_it_was():
    plant = plain_plant(max_charge_kw=4)
    version = checked(plant, slot("10:00", 5))
    ask(plant, stop_now(), at=EVE)

    assert code_of(lambda: publish_version(version, accept_warnings=True)) == "NEW_WARNINGS"
    version.refresh_from_db()
    assert "LATCH" in {one["code"] for one in version.problems}
    assert publish_version(version, accept_warnings=True).state == "PUBLISHED"


def test_slots_that_went_by_since_the_check_are_no_news():
    version = checked(plain_plant(max_charge_kw=4), slot("10:00", 5), slot("12:00", 5), at=at("09:00"))

    assert publish_version(version, at("11:00"), accept_warnings=True).state == "PUBLISHED"
    assert runs(version) == [("WAITING", None)]


def test_a_plan_of_a_day_that_is_over_is_not_published():
    version = checked(plain_plant(), slot("10:00", 5), at=at("09:00"))

    with pytest.raises(Several) as caught:
        publish_version(version, at("10:15"), accept_warnings=True)

    assert caught.value.code == "PAST"


# --- replacing --------------------------------------------------------------------------------------------------------


def test_the_next_version_takes_the_place_of_the_published_one():
    plant = plain_plant()
    first = published(plant, slot("10:00", 5), slot("10:15", 6))
    second = published(plant, slot("10:00", 5), slot("10:15", 7))

    assert states(first.plan) == ["REPLACED", "PUBLISHED"]
    assert runs(first) == [("WITHDRAWN", None)] * 2
    assert runs(second) == [("WAITING", None)] * 2
    first.refresh_from_db()
    assert first.ended_at == EVE
    event = PlanEvent.objects.get(word="REPLACED")
    assert (event.version_id, event.detail) == (first.pk, {"by": 2})


def test_in_mid_day_what_is_the_same_keeps_its_command_and_only_what_differs_is_sent():
    plant = plain_plant()
    first = published(plant, slot("10:00", 5), slot("10:15", 6), slot("10:30", 7))
    tick(at("10:00"))
    tick(at("10:14:50"))
    running, following = Command.objects.order_by("pk")

    second = published(
        plant, slot("10:00", 5), slot("10:15", 9), slot("10:30", 7), now=at("10:14:55"),
    )  # fmt: skip
    tick(at("10:14:56"))

    assert runs(first)[0] == ("COMMANDED", running.pk)
    assert runs(second)[0] == ("COMMANDED", running.pk)
    following.refresh_from_db()
    assert following.state == "CANCELLED"
    (newest,) = Command.objects.filter(pk__gt=following.pk)
    assert runs(second)[1:] == [("COMMANDED", newest.pk), ("WAITING", None)]
    assert newest.payload["targetValueKw"] == 9


def test_a_plan_that_is_cancelled_takes_back_what_it_had_and_its_future():
    version = published(plain_plant(), slot("10:00", 5), slot("12:00", 6))
    tick(at("10:01"))

    cancelled(version, at("10:02"), reason="storm")

    assert [state for state, _ in runs(version)] == ["WITHDRAWN", "WITHDRAWN"]
    assert Command.objects.get(batch_ref=f"plan:{version.pk}").state == "CANCELLED"
    event = version.plan.events.last()
    assert (event.word, event.detail) == ("CANCELLED", {"reason": "storm"})
    version.refresh_from_db()
    assert (version.state, version.ended_at) == ("CANCELLED", at("10:02"))


def test_only_a_published_plan_is_cancelled_and_with_a_reason():
    version = checked(plain_plant(), slot("10:00", 5))

    assert code_of(lambda: cancelled(version)) == "NOT_PUBLISHED"
    publish_version(version)
    assert code_of(lambda: cancelled(version, reason=" "), Invalid) == "REASON_MISSING"
    cancelled(version)
    assert code_of(lambda: cancelled(version)) == "NOT_PUBLISHED"


# --- many at once, and at the same time -------------------------------------------------------------------------------


def test_of_many_each_is_published_or_told_why_not():
    owner = factories.organisation()
    link = factories.connection(owner=owner)
    good, doubtful, other = (
        checked(plain_plant(on=link, **facts), slot("10:00", 5)) for facts in ({}, {"max_charge_kw": 4}, {})
    )
    open_one = draft(plain_plant(on=link), slot("10:00", 5))
    wanted = [good.pk, doubtful.pk, open_one.pk, other.pk, good.pk, 0]

    answers = publish_many(
        organisation_id=owner.pk, version_ids=wanted, actor=OPERATOR, at=EVE, policy=current_schedule_policy()
    )

    assert [(one.version_id, one.error and one.error.code) for one in answers] == [
        (good.pk, None),
        (doubtful.pk, "WARNINGS_NOT_ACCEPTED"),
        (open_one.pk, "NOT_CHECKED"),
        (other.pk, None),
        (0, "PLAN_NOT_FOUND"),
    ]
    assert PlanVersion.objects.filter(state=PlanState.PUBLISHED).count() == 2


def test_many_are_bounded():
    def work():
        publish_many(
            organisation_id=1, version_ids=range(MOST_AT_ONCE + 1), actor=OPERATOR, at=EVE,
            policy=current_schedule_policy(),
        )  # fmt: skip

    assert code_of(work, Invalid) == "TOO_MANY_PLANS"


def test_a_full_day_is_published_by_as_many_statements_as_two_slots():
    few = checked(plain_plant(), slot("10:00", 5), slot("10:15", 6))
    full = checked(
        plain_plant(),
        *[slot(f"{hour:02d}:{minute:02d}", 5) for hour in range(24) for minute in (0, 15, 30, 45)],
    )

    assert queries_of(lambda: publish_version(few)) == queries_of(lambda: publish_version(full)) <= 25


@pytest.mark.django_db(transaction=True)
def test_publishing_beside_an_emergency_leaves_nothing_of_the_plan_to_be_sent():
    plant = plain_plant()
    published(plant, slot("10:00", 5))
    tick(at("10:00"))
    second = checked(plant, slot("10:00", 9), at=at("10:01"))
    now = at("10:01:01")

    answers = together(
        lambda: publish_version(second, now, accept_warnings=True), lambda: ask(plant, stop_now(), at=now)
    )
    tick(at("10:01:02"))

    refused = [one.code for one in answers if isinstance(one, Exception)]
    assert refused in ([], ["NEW_WARNINGS"])
    unsent = Command.objects.filter(kind="site-setpoint", state__in=["SCHEDULED", "QUEUED"])
    assert not unsent.exists()


@pytest.mark.django_db(transaction=True)
def test_two_who_publish_the_same_version_at_once_publish_it_once():
    version = checked(plain_plant(), slot("10:00", 5))

    answers = together(*[lambda: publish_version(version)] * 2)

    assert sorted(getattr(one, "code", "") for one in answers) == ["", "NOT_CHECKED"]
    assert SlotRun.objects.count() == 1
    assert PlanEvent.objects.filter(word="PUBLISHED").count() == 1


@pytest.mark.django_db(transaction=True)
def test_publishing_beside_the_tick_leaves_one_command_in_force():
    plant = plain_plant()
    published(plant, slot("10:00", 5))
    second = checked(plant, slot("10:00", 9), at=at("10:00"))

    answers = together(
        lambda: publish_version(second, at("10:00:01"), accept_warnings=True), lambda: tick(at("10:00:01"))
    )
    tick(at("10:00:02"))

    assert not [one for one in answers if isinstance(one, Exception)]
    live = Command.objects.exclude(state="CANCELLED").filter(kind="site-setpoint")
    assert [one.payload["targetValueKw"] for one in live] == [9]


@pytest.mark.django_db(transaction=True)
def test_publishing_beside_an_edit_never_publishes_what_was_not_checked():
    plant = plain_plant()
    version = checked(plant, slot("10:00", 5))

    together(lambda: publish_version(version), lambda: draft(plant, slot("10:00", 9)))

    in_force = list(PlanVersion.objects.filter(state=PlanState.PUBLISHED))
    assert [values(one) for one in in_force] in ([], [[5]])
    assert PlanVersion.objects.filter(state=PlanState.DRAFT).count() == 1


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("point", ["make_runs", "withdraw_schedules", "close_runs", "note_event"])
def test_a_crash_anywhere_in_a_replacement_leaves_the_old_plan_in_force(monkeypatch, point):
    plant = plain_plant()
    first = published(plant, slot("10:00", 5))
    second = checked(plant, slot("10:00", 9))

    def die(*_args, **_more):
        raise RuntimeError("killed")

    monkeypatch.setattr(publishing, point, die)
    with pytest.raises(RuntimeError):
        publish_version(second)

    assert states(first.plan) == ["PUBLISHED", "CHECKED"]
    assert runs(first) == [("WAITING", None)] and runs(second) == []


def test_the_run_state_that_a_new_plan_finds_is_not_inherited_when_nothing_was_sent():
    plant = plain_plant()
    first = published(plant, slot("10:00", 5), slot("10:15", 6))
    SlotRun.objects.filter(slot__version=first).update(state=RunState.MISSED, cause="DISPATCH_OFF")

    second = published(plant, slot("10:00", 5), slot("10:15", 8), now=at("10:05"))
    tick(at("10:05"))

    assert [state for state, _ in runs(second)] == ["COMMANDED", "WAITING"]


def test_the_day_of_a_plan_is_its_own():
    assert published(plain_plant(), slot("10:00", 5)).plan.day == DAY
