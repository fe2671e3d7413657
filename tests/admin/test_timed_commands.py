"""Device commands with an end in the admin: asked for, reviewed as two commands, followed and taken back."""

from datetime import timedelta

import pytest

from dispatch.models import Command, EmergencyLatch, TimedCommand
from dispatch.services.timed import run_timed
from dispatch.states import State
from dispatch.timed_policy import current_timed_policy
from tests import factories
from tests.admin.pages import page, text_of
from tests.admin.test_sending import hidden, review, url_of
from tests.dispatch.helpers import deliver
from tests.factories import AT

pytestmark = pytest.mark.django_db

CHARGE = {"B1:command": "BESS_CHARGE", "B1:power_kw": "30", "B1:respect_limits": "on"}
UNTIL = {"stop_at": "2026-01-02T04:30"}  # AT is 04:00 on the plant's clock


def send(client, plant, **changes):
    data = hidden(review(client, plant, CHARGE | changes, "device"))
    return client.post(url_of(plant, "device"), data | {"do": "send"})


def started(client, plant, **changes):
    """A start that Voke has, with its end."""
    send(client, plant, **changes)
    deliver(plant.connection)
    return TimedCommand.objects.get()


def tick(at):
    run_timed(at=at, policy=factories.policy(), timed=current_timed_policy(), chance=lambda: 1.0)


def page_of(client, command_id):
    return client.get(page("dispatch_command_change", command_id))


def refused(client, plant, **changes):
    return {
        name: str(errors)
        for name, errors in review(client, plant, CHARGE | changes, "device").context["form"].errors.items()
    }


def test_the_review_says_that_the_stop_is_a_second_command_and_when_it_goes_out(jana):
    shown = text_of(review(jana, factories.plant(), CHARGE | UNTIL, "device"))

    assert "Its end is a second command, B1: stop, which goes out at Fri 2 Jan 04:30:00." in shown
    assert "The payload of its stop" in shown
    assert not Command.objects.exists()


def test_a_duration_is_told_as_the_time_that_it_comes_to(jana):
    shown = text_of(review(jana, factories.plant(), CHARGE | {"duration_min": "45"}, "device"))

    assert "which goes out at Fri 2 Jan 04:45:00 (45 min after it is sent)" in shown


def test_a_command_without_an_end_says_that_it_has_none(jana):
    plant = factories.plant()

    shown = text_of(review(jana, plant, CHARGE, "device"))
    send(jana, plant)

    assert "It has no end of its own: it runs until another command for its devices." in shown
    assert not TimedCommand.objects.exists()


@pytest.mark.parametrize(
    ("asked", "ends_at"),
    [
        (UNTIL, AT + timedelta(minutes=30)),
        ({"duration_min": "45"}, AT + timedelta(minutes=45)),
        ({"duration_min": "45", "due_at": "2026-01-02T05:00"}, AT + timedelta(minutes=105)),
    ],
    ids=["at a time", "after a while", "after a while, for later"],
)
def test_the_end_is_kept_with_the_command(jana, asked, ends_at):
    plant = factories.plant()

    send(jana, plant, **asked)

    timed = TimedCommand.objects.get()
    assert (timed.start, timed.stop_at) == (Command.objects.get(), ends_at)
    assert timed.stop_payload["commands"][0]["command"] == "BESS_STOP"


def test_the_second_click_sends_nothing(jana):
    plant = factories.plant()
    data = hidden(review(jana, plant, CHARGE | UNTIL, "device")) | {"do": "send"}

    first, second = (jana.post(url_of(plant, "device"), data)["Location"] for _ in range(2))

    assert first == second
    assert (Command.objects.count(), TimedCommand.objects.count()) == (1, 1)


@pytest.mark.parametrize(
    ("changes", "field", "told"),
    [
        ({"stop_at": "2026-01-02T03:59"}, "stop_at", "Is not after the start"),
        ({"stop_at": "2026-01-04T04:00"}, "stop_at", "More than 24 h after the start"),
        ({"duration_min": "1441"}, "duration_min", "More than 24 h after the start"),
        ({"duration_min": "0"}, "duration_min", "greater than or equal to 1"),
        ({"duration_min": "999999999999999999999"}, "duration_min", "less than or equal to 10080"),
        (UNTIL | {"duration_min": "45"}, "duration_min", "Give a time or a duration, not both"),
        (UNTIL | {"B1:command": "BESS_STOP", "B1:power_kw": ""}, "B1:command", "No stop is known for B1"),
        (UNTIL | {"S1:command": "FVE_PRODUCE_MAX"}, "S1:command", "No stop is known for S1"),
        (UNTIL | {"B1:power_kw": "41"}, "B1:power_kw", "41 kW is over the 40 kW"),
    ],
)
def test_an_end_that_can_not_be_kept_is_refused_at_its_field(jana, changes, field, told):
    errors = refused(jana, factories.plant(), **changes)

    assert list(errors) == [field]
    assert told in errors[field]
    assert not Command.objects.exists()


def test_sending_checks_the_end_again(jana):
    plant = factories.plant()
    data = hidden(review(jana, plant, CHARGE | UNTIL, "device")) | {
        "stop_at": "2026-01-02T03:00",
        "do": "send",
    }

    response = jana.post(url_of(plant, "device"), data)

    assert "Is not after the start" in str(response.context["form"].errors["stop_at"])
    assert not Command.objects.exists()


# --- the command's page ---------------------------------------------------------------------------------------------


def test_the_page_says_when_the_stop_is_due_and_that_it_was_not_made_yet(jana):
    timed = started(jana, factories.plant(), **UNTIL)

    shown = text_of(page_of(jana, timed.pk))

    assert "Its stop is due Fri 2 Jan 04:30:00 in 30 min" in shown
    assert "Its stop B1: stop, not made yet" in shown
    assert "Its stop is made, signed and sent Fri 2 Jan 04:30:00 In 30 min." in shown


def test_start_and_stop_are_linked_to_each_other(jana):
    timed = started(jana, factories.plant(), **UNTIL)
    tick(timed.stop_at)
    timed.refresh_from_db()

    of_start, of_stop = page_of(jana, timed.pk), page_of(jana, timed.stop_id)

    assert f"Its stop #{timed.stop_id} B1: stop Queued" in text_of(of_start)
    assert page("dispatch_command_change", timed.stop_id) in of_start.content.decode()
    assert f"By command #{timed.stop_id}." in text_of(of_start)
    assert f"Stops #{timed.pk} B1: charge 30 kW Sent" in text_of(of_stop)
    assert page("dispatch_command_change", timed.pk) in of_stop.content.decode()


def test_the_page_says_how_it_ended(jana):
    timed = started(jana, factories.plant(), **UNTIL)
    tick(timed.stop_at)
    timed.refresh_from_db()
    Command.objects.filter(pk=timed.stop_id).update(state=State.ACCEPTED)
    tick(timed.stop_at + timedelta(seconds=1))

    assert "Its end Ended: Voke took its stop, Fri 2 Jan 04:30:01" in text_of(page_of(jana, timed.pk))


def test_a_stop_that_came_to_nothing_is_told_with_the_next_one(jana):
    timed = started(jana, factories.plant(), **UNTIL)
    tick(timed.stop_at)
    Command.objects.exclude(pk=timed.pk).update(state=State.REJECTED, cause="DEVICE_OFFLINE")
    tick(timed.stop_at + timedelta(seconds=1))

    assert "Its end 1 stop came to nothing; the next is made at Fri 2 Jan 04:30:" in text_of(
        page_of(jana, timed.pk)
    )


def test_a_stop_that_is_left_to_people_says_so(jana):
    timed = started(jana, factories.plant(), **UNTIL)
    at = timed.stop_at
    for _ in range(2 * current_timed_policy().most_attempts):
        tick(at)
        Command.objects.exclude(pk=timed.pk).update(state=State.REJECTED, cause="DEVICE_OFFLINE")
        at += timedelta(minutes=5)
    tick(at)

    shown = text_of(page_of(jana, timed.pk))
    assert f"Its end {current_timed_policy().most_attempts} stops came to nothing" in shown
    assert "none is made again, it is left to people" in shown


def test_under_a_hold_the_page_says_what_the_stop_waits_for(jana):
    plant = factories.plant()
    timed = started(jana, plant, **UNTIL)
    EmergencyLatch.objects.create(
        plant=plant, type="HOLD", set_at=AT, set_by_name="petr", command=Command.objects.get(pk=timed.pk)
    )
    tick(timed.stop_at)

    assert "Waits for the release of the plant's emergency" in text_of(page_of(jana, timed.pk))


def test_a_batch_that_a_person_named_like_a_stop_is_no_stop(jana):
    timed = started(jana, factories.plant(), **UNTIL)
    send(jana, timed.start.plant, batch_ref=f"end:{timed.pk}")

    assert f"Stops #{timed.pk}" not in text_of(page_of(jana, Command.objects.exclude(pk=timed.pk).get().pk))


# --- taking back ----------------------------------------------------------------------------------------------------


def test_the_cancel_page_says_that_the_stop_goes_out_at_once_and_it_does(jana):
    timed = started(jana, factories.plant(), **UNTIL)
    url = page("dispatch_command_cancel_page", timed.pk)

    shown = text_of(jana.get(url))
    jana.post(url, {"reason": "Too much"})

    timed.refresh_from_db()
    assert "Its stop goes out at once, not at Fri 2 Jan 04:30:00: B1: stop." in shown
    assert (timed.stop_at, timed.stop.state) == (AT, State.QUEUED)


def test_of_an_unsent_start_no_stop_is_sent_either(jana):
    send(jana, factories.plant(), **UNTIL, due_at="2026-01-02T04:10")
    timed = TimedCommand.objects.get()
    url = page("dispatch_command_cancel_page", timed.pk)

    shown = text_of(jana.get(url))
    jana.post(url, {"reason": "Not needed"})

    timed.refresh_from_db()
    assert "Nothing of it was sent yet: it is taken back, and nothing goes to Voke, no stop either." in shown
    assert timed.end_cause == "NOTHING_SENT"


def test_the_cancel_page_of_a_stop_says_that_another_one_is_made(jana):
    timed = started(jana, factories.plant(), **UNTIL)
    tick(timed.stop_at)
    timed.refresh_from_db()

    shown = text_of(jana.get(page("dispatch_command_cancel_page", timed.stop_id)))

    assert f"It is the stop of #{timed.pk}: another one is made while that has not ended." in shown
