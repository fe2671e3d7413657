"""Cases of alarms: what is the same problem is one row, whatever the order and number of the messages."""

from datetime import timedelta
from itertools import pairwise

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from plants.models import Alarm, AlarmCase, AlarmNote, AlarmOccurrence
from plants.services.alarms import AlarmWord, apply_alarms, clear_platform_alarm, raise_platform_alarm
from tests import factories
from tests.examples import examples
from tests.factories import AT
from tests.queries import queries_of
from tests.threads import together
from vcp import Alarm as AlarmEvent

pytestmark = pytest.mark.django_db


def minute(count):
    return AT + timedelta(minutes=count)


def word(
    plant, *, raised=0, cleared=None, told=None, alarm_id="a1", severity="WARNING", code="LOST", **facts
):
    event = AlarmEvent(
        alarm_id=alarm_id,
        severity=severity,
        code=code,
        message=facts.pop("message", "lost"),
        raised_at=minute(raised),
        cleared_at=None if cleared is None else minute(cleared),
        **facts,
    )
    said = told if told is not None else (raised if cleared is None else cleared)
    return AlarmWord(plant_id=plant.pk, event=event, told_at=minute(said))


def tell(plant, *words):
    with transaction.atomic():
        apply_alarms(connection_id=plant.connection_id, words=words, at=minute(999))


def the_case():
    return AlarmCase.objects.get()


def test_the_same_problem_raised_again_within_the_window_is_one_case():
    plant = factories.plant()

    for number in range(12):
        tell(plant, word(plant, alarm_id=f"a{number}", raised=number * 5))
        tell(plant, word(plant, alarm_id=f"a{number}", raised=number * 5, cleared=number * 5 + 2))

    case = the_case()
    assert (case.occurrences, case.standing, case.is_raised) == (12, 0, False)
    assert (case.first_raised_at, case.last_raised_at, case.cleared_at) == (minute(0), minute(55), minute(57))
    assert case.organisation_id == plant.organisation_id
    assert case.latest.alarm_id == "a11"


def test_an_alarm_that_is_raised_again_under_its_own_id_keeps_every_occurrence():
    plant = factories.plant()

    tell(
        plant, word(plant), word(plant, cleared=3), word(plant, raised=10), word(plant, raised=10, cleared=12)
    )

    spans = AlarmOccurrence.objects.order_by("raised_at").values_list("raised_at", "cleared_at")
    assert list(spans) == [(minute(0), minute(3)), (minute(10), minute(12))]
    assert the_case().occurrences == 2


def test_a_raise_after_the_window_begins_a_new_case_that_knows_the_one_before():
    plant = factories.plant()
    tell(plant, word(plant), word(plant, cleared=3))

    tell(plant, word(plant, alarm_id="a2", raised=64))

    old, new = AlarmCase.objects.order_by("pk")
    assert (old.is_current, old.is_raised, new.is_current, new.is_raised) == (False, False, True, True)
    assert new.previous == old


def test_the_window_is_measured_from_the_end_of_what_was_raised_last():
    plant = factories.plant()
    tell(plant, word(plant), word(plant, cleared=50))

    tell(plant, word(plant, alarm_id="a2", raised=109))

    assert the_case().occurrences == 2


def test_what_still_stands_takes_in_its_repetitions_however_late_they_come():
    plant = factories.plant()
    tell(plant, word(plant))

    tell(plant, word(plant, alarm_id="a2", raised=600))

    assert (the_case().standing, the_case().occurrences) == (2, 2)


@pytest.mark.parametrize("other", [{"code": "OTHER"}, {"device_id": "B2"}])
def test_another_code_or_device_is_another_problem(other):
    plant = factories.plant()

    tell(plant, word(plant), word(plant, alarm_id="a2", raised=1, **other))

    assert AlarmCase.objects.count() == 2


def test_another_plant_is_another_problem():
    plant = factories.plant()
    neighbour = factories.plant(on=plant.connection)

    tell(plant, word(plant), word(neighbour, alarm_id="a2", raised=1))

    assert AlarmCase.objects.count() == 2


def test_a_case_is_as_bad_as_the_worst_that_stands():
    plant = factories.plant()
    tell(plant, word(plant, severity="WARNING"), word(plant, alarm_id="a2", raised=1, severity="CRITICAL"))
    worst = the_case().severity

    tell(plant, word(plant, alarm_id="a2", raised=1, cleared=5, severity="CRITICAL"))

    assert (worst, the_case().severity, the_case().rank) == ("CRITICAL", "WARNING", 1)


def test_a_clear_that_comes_before_its_raise_makes_one_cleared_occurrence():
    plant = factories.plant()
    tell(plant, word(plant, cleared=5))

    tell(plant, word(plant))

    assert (the_case().occurrences, the_case().is_raised, the_case().cleared_at) == (1, False, minute(5))


def test_a_redelivered_message_is_counted_once():
    plant = factories.plant()

    tell(plant, word(plant), word(plant))
    tell(plant, word(plant))

    assert (the_case().occurrences, AlarmOccurrence.objects.count()) == (1, 1)


MESSAGES = [
    {"raised": 0},
    {"raised": 0, "cleared": 3},
    {"raised": 10},
    {"raised": 10, "cleared": 12},
    {"raised": 20, "alarm_id": "a2"},
    {"raised": 20, "cleared": 21, "alarm_id": "a2"},
]


@given(order=st.permutations(MESSAGES), cuts=st.sets(st.integers(1, 5)))
@examples(25)
def test_any_order_and_any_batches_tell_the_same_case(order, cuts):
    Alarm.objects.all().delete()
    AlarmCase.objects.all().delete()
    plant = factories.plant()
    words = [word(plant, **one) for one in order]

    edges = [0, *sorted(cuts), len(words)]
    for start, end in pairwise(edges):
        tell(plant, *words[start:end])

    case = the_case()
    spans = AlarmOccurrence.objects.order_by("raised_at").values_list("raised_at", "cleared_at")
    assert list(spans) == [(minute(0), minute(3)), (minute(10), minute(12)), (minute(20), minute(21))]
    assert (case.occurrences, case.is_raised, case.cleared_at) == (3, False, minute(21))
    assert (case.first_raised_at, case.last_raised_at) == (minute(0), minute(20))


def test_what_grows_worse_than_it_was_acknowledged_is_to_be_acknowledged_again():
    plant = factories.plant()
    tell(plant, word(plant, severity="WARNING"))
    AlarmCase.objects.update(acknowledged_at=minute(1), acknowledged_rank=1)

    tell(plant, word(plant, alarm_id="a2", raised=2, severity="CRITICAL"))

    note = AlarmNote.objects.get()
    assert the_case().acknowledged_at is None
    assert (note.word, note.data) == ("WORSENED", {"from": "WARNING", "to": "CRITICAL"})


def test_what_is_acknowledged_stays_so_while_it_flaps_at_the_same_severity():
    plant = factories.plant()
    tell(plant, word(plant), word(plant, cleared=1))
    AlarmCase.objects.update(acknowledged_at=minute(1), acknowledged_rank=1)

    tell(plant, word(plant, raised=4))

    assert the_case().acknowledged_at == minute(1)


def test_what_is_raised_after_a_person_closed_the_case_begins_a_new_one():
    plant = factories.plant()
    tell(plant, word(plant))
    AlarmCase.objects.update(closed_at=minute(1), is_current=False)

    tell(plant, word(plant, alarm_id="a2", raised=2))

    assert AlarmCase.objects.filter(closed_at=None).get().occurrences == 1


def test_the_platforms_own_alarms_are_filed_with_their_owner():
    plant = factories.plant()
    raise_platform_alarm(
        connection_id=None, plant_id=plant.pk, alarm_id="p", severity="ERROR", code="DRIFT", message="", at=AT
    )
    raise_platform_alarm(connection_id=None, alarm_id="t", severity="ERROR", code="TICK", message="", at=AT)

    clear_platform_alarm(connection_id=None, alarm_id="p", at=minute(3))

    of_plant, of_installation = AlarmCase.objects.order_by("pk")
    assert (of_plant.organisation_id, of_plant.cleared_at) == (plant.organisation_id, minute(3))
    assert (of_installation.organisation_id, of_installation.is_raised) == (None, True)


def test_statements_do_not_grow_with_the_alarms_of_a_batch():
    plants = [factories.plant()]
    plants += [factories.plant(on=plants[0].connection) for _ in range(29)]
    few = queries_of(lambda: tell(plants[0], word(plants[0], alarm_id="few")))

    many = queries_of(
        lambda: tell(plants[0], *[word(one, alarm_id=f"m{one.pk}", code="X") for one in plants])
    )

    assert many <= few


@pytest.mark.django_db(transaction=True)
def test_consumers_that_hear_of_the_same_problem_at_once_make_one_case():
    plant = factories.plant()

    answers = together(
        *(
            lambda number=number: tell(plant, word(plant, alarm_id=f"a{number}", raised=number))
            for number in range(4)
        )
    )

    assert answers == [None] * 4
    assert (the_case().occurrences, the_case().standing) == (4, 4)
