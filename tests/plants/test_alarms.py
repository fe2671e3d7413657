"""Alarms: whatever the order and number of their messages, the row tells the same; platform alarms beside them."""

from datetime import timedelta

import pytest
from django.db import transaction
from hypothesis import given
from hypothesis import strategies as st

from plants.models import Alarm, AlarmChange, AlarmOrigin
from plants.selectors.alarms import open_platform_alarm_ids
from plants.services.alarms import (
    AlarmWord,
    apply_alarms,
    clear_platform_alarm,
    raise_platform_alarm,
    take_alarm_changes,
)
from tests import factories
from tests.examples import examples
from tests.factories import AT
from tests.threads import together
from vcp import Alarm as AlarmEvent

pytestmark = pytest.mark.django_db


def minute(count):
    return AT + timedelta(minutes=count)


def word(plant, *, raised=0, cleared=None, told=None, alarm_id="a1", **facts):
    event = AlarmEvent(
        alarm_id=alarm_id,
        severity="ERROR",
        code="CONSTRAINT_VIOLATION",
        message=facts.pop("message", "over the limit"),
        raised_at=minute(raised),
        cleared_at=None if cleared is None else minute(cleared),
        **facts,
    )
    said = told if told is not None else (raised if cleared is None else cleared)
    return AlarmWord(plant_id=plant.pk, event=event, told_at=minute(said))


def tell(plant, *words):
    return apply_alarms(connection_id=plant.connection_id, words=words, at=minute(99))


def row():
    found = Alarm.objects.get(origin=AlarmOrigin.VOKE)
    return found.raised_at, found.cleared_at


def test_each_message_says_whether_it_told_anything_new():
    plant = factories.plant()
    raised, cleared = word(plant), word(plant, cleared=5)

    answers = tell(plant, raised, raised, cleared, cleared, raised)

    assert answers == [True, False, True, False, False]
    assert row() == (minute(0), minute(5))


def test_a_clear_that_comes_first_is_not_undone_by_its_raise():
    plant = factories.plant()
    tell(plant, word(plant, cleared=5))

    tell(plant, word(plant))

    assert row() == (minute(0), minute(5))


def test_a_newer_raise_opens_the_alarm_again():
    plant = factories.plant()
    tell(plant, word(plant, cleared=5))

    tell(plant, word(plant, raised=10))

    assert row() == (minute(10), None)


def test_a_late_clear_of_the_earlier_raise_does_not_close_the_newer_one():
    plant = factories.plant()
    tell(plant, word(plant), word(plant, raised=10))

    tell(plant, word(plant, cleared=5))

    assert row() == (minute(10), None)


def test_a_repeated_raise_with_a_newer_message_does_not_open_a_cleared_alarm():
    plant = factories.plant()
    tell(plant, word(plant), word(plant, cleared=5))

    tell(plant, word(plant, told=20, message="still the same"))

    assert row() == (minute(0), minute(5))


def test_the_description_follows_the_newest_message_and_the_times_what_happened():
    plant = factories.plant()
    tell(plant, word(plant, told=5, message="new words"))

    tell(plant, word(plant, told=1, message="old words"))

    assert Alarm.objects.get().message == "new words"


HISTORY = [{"raised": 0}, {"cleared": 5}, {"raised": 10}, {"raised": 10, "cleared": 15}, {"raised": 20}]


@examples(30)
@given(
    upto=st.integers(1, len(HISTORY)),
    data=st.data(),
    batches=st.integers(1, 3),
)
def test_any_order_any_repetition_and_any_cutting_into_batches_end_in_the_same_row(upto, data, batches):
    told = HISTORY[:upto]
    shuffled = data.draw(st.permutations([*told, *data.draw(st.lists(st.sampled_from(told), max_size=3))]))
    plant = factories.plant(assets=[])
    words = [word(plant, **one) for one in shuffled]

    for start in range(batches):
        tell(plant, *words[start::batches])

    latest_raise = max(one.get("raised", 0) for one in told)
    latest_clear = max((one["cleared"] for one in told if "cleared" in one), default=None)
    still_cleared = latest_clear is not None and latest_clear > latest_raise
    found = Alarm.objects.get(plant=plant)
    assert found.raised_at == minute(latest_raise)
    assert found.cleared_at == (minute(latest_clear) if still_cleared else None)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_clear_dated_before_its_raise_gives_the_same_row_in_either_order(order):
    plant = factories.plant(assets=[])
    words = [word(plant, raised=0, cleared=1), word(plant, raised=2, cleared=0)]

    for index in order:
        tell(plant, words[index])

    found = Alarm.objects.get(plant=plant)
    assert (found.raised_at, found.cleared_at) == (minute(2), minute(2))


def test_a_clear_before_its_own_raise_is_a_clear_all_the_same():
    """Its sender's clocks disagree; clearedAt present means cleared."""
    plant = factories.plant()

    tell(plant, word(plant, raised=10, cleared=9))
    tell(plant, word(plant, raised=10))

    assert row() == (minute(10), minute(10))


# --- this platform's own ----------------------------------------------------------------------------------------------


def raise_own(plant, message="not delivered", at=AT):
    raise_platform_alarm(
        connection_id=plant.connection_id,
        plant_id=plant.pk,
        alarm_id="emergency:1",
        severity="CRITICAL",
        code="EMERGENCY_NOT_DELIVERED",
        message=message,
        at=at,
    )


def test_an_own_alarm_stands_beside_one_of_voke_with_the_same_id():
    plant = factories.plant()
    tell(plant, word(plant, alarm_id="emergency:1"))

    raise_own(plant)

    assert Alarm.objects.filter(alarm_id="emergency:1").count() == 2


def test_an_own_alarm_raised_again_is_the_same_alarm_with_its_first_time():
    plant = factories.plant()
    raise_own(plant)

    raise_own(plant, message="still not delivered", at=minute(1))

    alarm = Alarm.objects.get()
    assert (alarm.raised_at, alarm.message, alarm.told_at) == (AT, "still not delivered", minute(1))


def test_own_alarms_that_are_open_are_listed_and_cleared_ones_are_not():
    plant = factories.plant()
    raise_own(plant)
    before = open_platform_alarm_ids(code="EMERGENCY_NOT_DELIVERED", limit=10)

    clear_platform_alarm(connection_id=plant.connection_id, alarm_id="emergency:1", at=minute(1))

    assert before == ["emergency:1"]
    assert open_platform_alarm_ids(code="EMERGENCY_NOT_DELIVERED", limit=10) == []
    assert Alarm.objects.get().cleared_at == minute(1)


def test_clearing_what_was_never_raised_does_nothing():
    clear_platform_alarm(connection_id=factories.connection().pk, alarm_id="emergency:1", at=AT)

    assert not Alarm.objects.exists()


@pytest.mark.parametrize("whose", ["connection", "organisation", "installation"])
def test_an_own_alarm_may_be_about_a_connection_an_organisation_or_the_installation(whose):
    link = factories.connection()
    about = {
        "connection": {"connection_id": link.pk},
        "organisation": {"connection_id": None, "organisation_id": link.organisation_id},
        "installation": {"connection_id": None},
    }[whose]

    def say(at):
        return raise_platform_alarm(**about, alarm_id="X", severity="ERROR", code="X", message="x", at=at)

    answers = [say(AT), say(minute(1))]
    cleared = [
        clear_platform_alarm(connection_id=about["connection_id"], alarm_id="X", at=minute(2))
        for _ in range(2)
    ]
    again = say(minute(3))

    alarm = Alarm.objects.get()
    assert (answers, cleared, again) == ([True, False], [True, False], True)
    assert (alarm.raised_at, alarm.cleared_at) == (minute(3), None)


# --- news for whoever tells people ------------------------------------------------------------------------------------


def news():
    return list(AlarmChange.objects.values_list("alarm__alarm_id", "word"))


def test_each_change_leaves_its_news_and_what_changed_nothing_leaves_none():
    plant = factories.plant()
    tell(plant, word(plant), word(plant))
    tell(plant, word(plant, told=1, message="the same, in other words"))
    tell(plant, word(plant, cleared=5))
    tell(plant, word(plant, raised=10))

    assert news() == [("a1", "RAISED"), ("a1", "CLEARED"), ("a1", "RAISED")]


def test_what_was_raised_and_cleared_within_a_batch_is_no_news():
    plant = factories.plant()
    tell(plant, word(plant), word(plant, cleared=5))
    tell(plant, word(plant, alarm_id="a2", cleared=5))

    assert news() == []


def test_another_severity_is_news():
    plant = factories.plant()
    raise_own(plant)
    raise_platform_alarm(
        connection_id=plant.connection_id,
        alarm_id="emergency:1",
        severity="WARNING",
        code="C",
        message="m",
        at=AT,
    )

    assert news() == [("emergency:1", "RAISED"), ("emergency:1", "RAISED")]


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_several_who_raise_and_take_at_once_make_and_get_one_piece_of_news():
    plant = factories.plant()
    together(*[lambda: raise_own(plant)] * 4)

    def take():
        with transaction.atomic():
            return len(take_alarm_changes(limit=10))

    assert Alarm.objects.count() == 1
    assert sorted(together(*[take] * 4)) == [0, 0, 0, 1]
    assert news() == []
