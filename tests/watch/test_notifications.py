"""Telling people: who hears of what, and how much of it."""

from datetime import timedelta

import pytest
from django.db import transaction

from plants.models import AlarmChange
from plants.services.alarms import AlarmWord, apply_alarms
from tests import factories
from tests.factories import AT
from tests.threads import together
from tests.watch.channels import PRODUCT, alarm, channel, clear
from vcp import Alarm as AlarmEvent
from watch.models import Notification
from watch.services.telling import fan_out, release, tell

pytestmark = pytest.mark.django_db


def minutes(count):
    return timedelta(minutes=count)


def told(at=AT):
    """(event, code, held back) of what a turn lets go."""
    tell(at=at, product=PRODUCT)
    rows = Notification.objects.filter(released_at=at).order_by("pk")
    return [(row.event, row.code, row.held_back) for row in rows]


# --- who hears of what ------------------------------------------------------------------------------------------------


def test_an_organisation_hears_of_its_own_alarms_alone_and_the_installation_of_all():
    ours, theirs = factories.plant(), factories.plant()
    for name, owner in (("installation", None), ("ours", ours.organisation), ("theirs", theirs.organisation)):
        channel(name, organisation=owner)
    alarm(ours, code="OF_A_PLANT")
    alarm(None, alarm_id="c", code="OF_A_CONNECTION", connection_id=ours.connection_id)
    alarm(None, alarm_id="o", code="OF_AN_ORGANISATION", organisation_id=ours.organisation_id)
    alarm(None, alarm_id="i", code="OF_THE_INSTALLATION")

    tell(at=AT, product=PRODUCT)

    heard = {}
    for row in Notification.objects.select_related("channel"):
        heard.setdefault(row.channel.name, set()).add(row.code)
    of_ours = {"OF_A_PLANT", "OF_A_CONNECTION", "OF_AN_ORGANISATION"}
    assert heard == {"ours": of_ours, "installation": of_ours | {"OF_THE_INSTALLATION"}}


@pytest.mark.parametrize(
    ("severity", "minimum", "only", "is_heard"),
    [
        ("WARNING", "WARNING", False, True),
        ("CRITICAL", "WARNING", False, True),
        ("INFO", "WARNING", False, False),
        ("error", "ERROR", False, True),
        ("GRAVE", "ERROR", False, True),
        ("GRAVE", "CRITICAL", False, False),
        ("WARNING", "WARNING", True, True),
        ("ERROR", "WARNING", True, False),
    ],
)
def test_a_channel_hears_from_its_severity_on_or_of_just_this_one(severity, minimum, only, is_heard):
    channel(minimum_severity=minimum, only_this_severity=only)
    alarm(factories.plant(), severity=severity)

    assert bool(told()) is is_heard


def test_alarms_of_voke_are_told_too_and_one_raised_and_cleared_in_a_batch_is_not():
    plant = factories.plant()
    channel()

    def word(alarm_id, cleared=None):
        event = AlarmEvent(
            alarm_id=alarm_id, severity="CRITICAL", code="FIRE", message="smoke", raised_at=AT, cleared_at=cleared
        )  # fmt: skip
        return AlarmWord(plant_id=plant.pk, event=event, told_at=cleared or AT)

    words = [word("v1"), word("v2"), word("v2", AT + minutes(1))]
    apply_alarms(connection_id=plant.connection_id, words=words, at=AT)

    assert told() == [("RAISED", "FIRE", 0)]
    content = Notification.objects.get().content
    assert (content["origin"], content["severity"], content["plant"]["name"]) == (
        "VOKE",
        "CRITICAL",
        plant.name,
    )


def test_a_clear_is_told_to_whom_the_raise_was_told_and_to_nobody_else():
    plant = factories.plant()
    channel("early", quiet_s=0)
    alarm(plant)
    tell(at=AT, product=PRODUCT)
    channel("late", quiet_s=0)
    clear(plant)

    assert told(AT + minutes(1)) == [("CLEARED", "NO_ACK", 0)]
    assert set(Notification.objects.values_list("channel__name", flat=True)) == {"early"}


def test_an_alarm_that_grows_worse_reaches_who_did_not_hear_of_it_before():
    plant = factories.plant()
    channel(minimum_severity="ERROR")
    alarm(plant, severity="WARNING")
    before = told()
    alarm(plant, severity="ERROR")

    assert (before, told(AT + minutes(1))) == ([], [("RAISED", "NO_ACK", 0)])


def test_an_alarm_that_is_only_brought_up_to_date_is_not_told_again():
    plant = factories.plant()
    channel(quiet_s=0)
    alarm(plant, message="two of them")
    tell(at=AT, product=PRODUCT)
    alarm(plant, message="three of them")

    assert told(AT + minutes(1)) == []


def test_what_was_rolled_back_is_never_told():
    channel()
    plant = factories.plant()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        alarm(plant)
        raise ZeroDivisionError

    assert told() == []


def test_a_channel_that_is_off_hears_nothing_and_changes_do_not_pile_up():
    channel(enabled=False)
    alarm(factories.plant())

    assert told() == []
    assert not AlarmChange.objects.exists()


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_two_tellers_at_once_tell_each_change_once():
    plant = factories.plant()
    channel(quiet_s=0, max_per_hour=100)
    for number in range(20):
        alarm(plant, alarm_id=f"a{number}", code=f"C{number}")

    together(*[lambda: tell(at=AT, product=PRODUCT)] * 4)
    tell(at=AT, product=PRODUCT)

    assert Notification.objects.count() == 20
    assert Notification.objects.filter(state="PENDING").count() == 20


# --- how much of it ---------------------------------------------------------------------------------------------------


def test_a_burst_of_one_code_is_one_message_that_counts_the_others():
    plant = factories.plant()
    channel()
    for number in range(13):
        alarm(plant, alarm_id=f"a{number}")

    assert told() == [("RAISED", "NO_ACK", 12)]
    content = Notification.objects.get(state="PENDING").content
    assert (content["heldBack"], len(content["others"])) == (12, 10)
    assert Notification.objects.filter(state="SUMMED").count() == 12


def test_within_the_quiet_time_nothing_more_of_a_code_goes_and_afterwards_the_newest():
    plant = factories.plant()
    channel(quiet_s=300)
    alarm(plant)
    first = told()
    clear(plant, at=AT + minutes(1))
    alarm(plant, at=AT + minutes(2))
    within = told(AT + minutes(4))
    alarm(plant, alarm_id="b", code="OTHER")
    other_code = told(AT + minutes(4.5))

    assert first == [("RAISED", "NO_ACK", 0)]
    assert (within, other_code) == ([], [("RAISED", "OTHER", 0)])
    assert told(AT + minutes(5)) == [("RAISED", "NO_ACK", 1)]


def test_an_hour_has_its_limit_and_the_last_message_sums_up_every_code():
    plant = factories.plant()
    channel(quiet_s=0, max_per_hour=3)
    for number in range(6):
        alarm(
            plant, alarm_id=f"a{number}", code=f"C{number}", severity="CRITICAL" if number == 5 else "ERROR"
        )

    # The worst and one more go alone, the third stands for the four that are left.
    assert told() == [("RAISED", "C0", 0), ("RAISED", "C4", 3), ("RAISED", "C5", 0)]
    assert Notification.objects.filter(state="PENDING").count() == 3
    assert not Notification.objects.filter(state="WAITING").exists()

    alarm(plant, alarm_id="later", code="LATER")
    assert told(AT + minutes(59)) == []
    assert told(AT + minutes(60)) == [("RAISED", "LATER", 0)]


@pytest.mark.parametrize("most", [1, 3])
def test_what_is_worse_does_not_wait_for_an_hour_that_milder_messages_used_up(most):
    plant = factories.plant()
    channel(quiet_s=0, max_per_hour=most, minimum_severity="INFO")
    for number in range(5):
        alarm(plant, alarm_id=f"a{number}", code=f"C{number}", severity="INFO")
        tell(at=AT + minutes(number), product=PRODUCT)
    alarm(plant, alarm_id="fire", code="FIRE", severity="CRITICAL")
    alarm(plant, alarm_id="more", code="C9", severity="INFO")

    now = told(AT + minutes(10))

    assert (now[0][:2], len(now)) == (("RAISED", "FIRE"), 1)


def test_no_severity_has_more_messages_an_hour_than_the_limit():
    plant = factories.plant()
    channel(quiet_s=0, max_per_hour=2, minimum_severity="INFO")
    for number, severity in enumerate(["INFO", "WARNING", "ERROR", "CRITICAL"] * 5):
        alarm(plant, alarm_id=f"a{number}", code=f"C{number}", severity=severity)
        tell(at=AT + minutes(number), product=PRODUCT)

    let_go = Notification.objects.filter(state="PENDING").values_list("severity", flat=True)
    assert all(list(let_go).count(one) <= 2 for one in ("INFO", "WARNING", "ERROR", "CRITICAL"))
    assert list(let_go).count("CRITICAL") == 2


def test_a_code_that_grows_worse_is_told_within_its_quiet_time():
    plant = factories.plant()
    channel(quiet_s=300)
    alarm(plant, severity="WARNING")
    first = told()
    alarm(plant, severity="CRITICAL", at=AT + minutes(1))
    worse = told(AT + minutes(1))
    alarm(plant, alarm_id="b", severity="ERROR", at=AT + minutes(2))

    assert (first, worse) == ([("RAISED", "NO_ACK", 0)],) * 2
    assert told(AT + minutes(2)) == []


def test_one_channel_at_its_limit_does_not_silence_another():
    plant = factories.plant()
    channel("quiet", max_per_hour=1, quiet_s=0)
    channel("loud", max_per_hour=10, quiet_s=0)
    alarm(plant)
    tell(at=AT, product=PRODUCT)
    alarm(plant, alarm_id="b", code="OTHER")

    tell(at=AT + minutes(1), product=PRODUCT)

    rows = Notification.objects.filter(code="OTHER").values_list("channel__name", "state")
    assert set(rows) == {("loud", "PENDING"), ("quiet", "WAITING")}


def test_a_storm_is_taken_in_bounded_batches():
    plant = factories.plant()
    channel()
    for number in range(5):
        alarm(plant, alarm_id=f"a{number}")
    first = AlarmChange.objects.order_by("pk").first()

    assert fan_out(at=AT, product=PRODUCT) == 5
    assert not AlarmChange.objects.filter(pk=first.pk).exists()
    assert release(at=AT) == 1
