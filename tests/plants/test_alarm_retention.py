"""What is kept of alarms: the history of a case is not changed, and goes with its case long after all was over."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from plants.models import Alarm, AlarmCase, AlarmNote, AlarmOccurrence, User
from plants.services.alarm_care import close, comment
from plants.services.alarm_retention import prune_alarms
from plants.services.alarms import clear_platform_alarm, raise_platform_alarm
from plants.services.partitions import Span
from tests import factories
from tests.factories import AT
from tests.queries import queries_of

pytestmark = pytest.mark.django_db
ON_POSTGRESQL = connection.vendor == "postgresql"
KEEP = 400


def days_ago(days):
    return AT - timedelta(days=days)


@pytest.fixture
def plant():
    return factories.plant()


@pytest.fixture
def petr(plant):
    return User.objects.create_user("petr", organisation=plant.organisation, role="OPERATOR")


def raised(plant, alarm_id, *, at):
    raise_platform_alarm(
        connection_id=None,
        plant_id=plant.pk,
        alarm_id=alarm_id,
        severity="ERROR",
        code=alarm_id,
        message="",
        at=at,
    )
    return AlarmCase.objects.get(code=alarm_id)


def over(plant, alarm_id, *, days):
    """A case that was raised and cleared on one day."""
    case = raised(plant, alarm_id, at=days_ago(days))
    clear_platform_alarm(connection_id=None, alarm_id=alarm_id, at=days_ago(days) + timedelta(hours=1))
    return case


def kept():
    return sorted(AlarmCase.objects.values_list("code", flat=True))


if ON_POSTGRESQL:  # SQLite is the demo's: there the services alone hold to it

    @pytest.mark.parametrize(
        "change",
        [
            lambda rows: rows.update(text="nothing was said"),
            lambda rows: rows.update(by=None, by_name="somebody"),
            lambda rows: rows.delete(),
        ],
    )
    def test_the_database_refuses_to_change_or_delete_what_people_did(plant, petr, change):
        note = comment(case_id=raised(plant, "a", at=AT).pk, text="on my way", by=petr, at=AT)

        with pytest.raises(IntegrityError, match="notes of alarms are not"), transaction.atomic():
            change(AlarmNote.objects.filter(pk=note.pk))

        note.refresh_from_db()
        assert (note.text, note.by) == ("on my way", petr)


def test_the_note_of_a_person_who_is_gone_keeps_the_name(plant, petr):
    note = comment(case_id=raised(plant, "a", at=AT).pk, text="on my way", by=petr, at=AT)

    petr.delete()

    note.refresh_from_db()
    assert (note.by, note.by_name) == (None, "petr")


def test_what_was_over_long_ago_goes_with_its_history_and_its_alarm(plant, petr):
    old = over(plant, "old", days=KEEP + 1)
    comment(case_id=old.pk, text="the fan again", by=petr, at=AT)
    over(plant, "new", days=KEEP - 1)
    raised(plant, "stands", at=days_ago(KEEP + 1))

    gone = prune_alarms(at=AT, keep_days=KEEP)

    assert (gone, kept()) == (2, ["new", "stands"])
    assert sorted(Alarm.objects.values_list("alarm_id", flat=True)) == ["new", "stands"]
    assert (AlarmNote.objects.count(), AlarmOccurrence.objects.count()) == (0, 2)


def test_a_case_that_was_closed_lately_stays_with_its_history(plant, petr):
    case = over(plant, "old", days=KEEP + 1)
    close(case_id=case.pk, why="", by=petr, at=days_ago(1))

    prune_alarms(at=AT, keep_days=KEEP)

    assert (kept(), Alarm.objects.count(), AlarmNote.objects.count()) == (["old"], 1, 1)


def test_what_lies_in_a_span_that_somebody_holds_stays(plant):
    over(plant, "held", days=KEEP + 10)
    over(plant, "old", days=KEEP + 20)

    prune_alarms(at=AT, keep_days=KEEP, held=[Span(low=days_ago(KEEP + 11), high=days_ago(KEEP + 9))])

    assert (kept(), list(Alarm.objects.values_list("alarm_id", flat=True))) == (["held"], ["held"])


def test_an_alarm_that_was_raised_again_stays_though_its_first_case_goes(plant):
    over(plant, "a", days=KEEP + 10)
    raise_platform_alarm(
        connection_id=None, plant_id=plant.pk, alarm_id="a", severity="ERROR", code="a", message="", at=AT
    )

    prune_alarms(at=AT, keep_days=KEEP)

    assert (AlarmCase.objects.get().is_raised, Alarm.objects.get().cleared_at) == (True, None)
    assert AlarmOccurrence.objects.get().raised_at == AT


def test_many_go_in_steps_and_the_rest_with_the_next_run(plant):
    for number in range(5):
        over(plant, f"a{number}", days=KEEP + 1)

    few = queries_of(lambda: prune_alarms(at=AT, keep_days=KEEP, limit=2))

    assert (kept(), Alarm.objects.count()) == ([], 0)
    assert few < 80
    if ON_POSTGRESQL:  # afterwards nobody may delete again
        note = comment(
            case_id=raised(plant, "b", at=AT).pk, text="x", by=User.objects.create_user("eva"), at=AT
        )
        with pytest.raises(IntegrityError), transaction.atomic():
            note.delete()
