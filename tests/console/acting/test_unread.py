"""What the box says before there is anything to check: what stands against every command, and no error of its own."""

import pytest

from tests.console.acting.helpers import check, url, words
from tests.dispatch.helpers import ask, stop_now

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("tab", ["setpoint", "device"])
def test_an_amount_that_was_not_typed_yet_is_no_error(operator_client, plant, tab):
    checked = check(operator_client, plant, tab, amount="")

    assert checked.context["findings"] == []
    assert checked.context["blocked"] is True


def test_an_emergency_is_told_before_anything_is_typed(operator_client, plant):
    ask(plant, stop_now())

    checked = check(operator_client, plant, amount="")

    assert "An emergency STOP is in force. Release it first." in words(checked)


@pytest.mark.parametrize(("amount", "told"), [("-5", "Write a number from 0 up"), ("abc", "Enter a number.")])
def test_what_is_no_amount_is_told_in_the_boxs_words(operator_client, plant, amount, told):
    assert told in words(check(operator_client, plant, amount=amount))


def test_a_plant_without_devices_is_offered_none_and_nothing_to_send(operator_client, plant):
    plant.assets.all().delete()

    page = operator_client.get(f"{url('page', plant)}?tab=device")

    assert "This plant has no battery, PV or inverter" in words(page)
    assert "Review and send" not in words(page)
