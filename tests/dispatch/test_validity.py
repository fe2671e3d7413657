"""Every site setpoint carries a `validUntil`: its own, or the plant's; what was asked for stays what it was."""

from datetime import timedelta

import pytest

from dispatch.models import Command
from dispatch.validity import with_end
from tests import factories
from tests.dispatch.helpers import ask, batch, energy, envelope_of, message_of, mode, setpoint
from tests.factories import AT
from vcp import format_timestamp

pytestmark = pytest.mark.django_db


def open_ended(**changes):
    return setpoint(valid_until=None, **changes)


def test_a_setpoint_without_an_end_gets_the_plants_from_where_it_begins():
    plant = factories.plant(setpoint_valid_s=300)

    command = ask(plant, open_ended(valid_from=AT + timedelta(minutes=2)))

    sent = envelope_of(message_of(command))["payload"]
    assert sent["validUntil"] == format_timestamp(AT + timedelta(minutes=7))
    assert sent == command.payload


def test_one_that_is_due_later_than_it_begins_gets_its_end_from_when_it_is_due():
    plant = factories.plant(setpoint_valid_s=300)

    command = ask(plant, open_ended(), due_at=AT + timedelta(hours=1))

    assert command.payload["validUntil"] == format_timestamp(AT + timedelta(hours=1, minutes=5))


def test_an_end_of_its_own_is_kept():
    until = AT + timedelta(hours=3)

    command = ask(factories.plant(setpoint_valid_s=300), setpoint(valid_until=until))

    assert command.payload["validUntil"] == format_timestamp(until)


def test_an_energy_target_holds_at_least_for_its_interval():
    plant = factories.plant(setpoint_valid_s=300)

    command = ask(plant, energy(5.0, minutes=60, valid_until=None))

    assert command.payload["validUntil"] == format_timestamp(AT + timedelta(hours=1))


@pytest.mark.parametrize("payload", [mode(), batch()])
def test_what_is_no_setpoint_gets_no_end(payload):
    assert with_end(payload, factories.plant(), AT) is payload


def test_a_retry_an_hour_later_is_the_same_request():
    plant = factories.plant()
    later = AT + timedelta(hours=1)

    first = ask(plant, open_ended(), idempotency_key="k1")
    again = ask(plant, open_ended(), idempotency_key="k1", at=later)

    assert (again.pk, again.payload) == (first.pk, first.payload)
    assert Command.objects.count() == 1


@pytest.mark.parametrize(("holds_s", "deliver_s"), [(300, 300), (86_400, 900)])
def test_one_that_is_given_an_end_may_be_sent_until_then_but_no_longer_than_the_common_limit(
    holds_s, deliver_s
):
    command = ask(factories.plant(setpoint_valid_s=holds_s), open_ended())

    assert command.deliver_by_at == AT + timedelta(seconds=deliver_s)
