"""Numbers in the addresses of the admin's own pages: one that no row can have names nothing, on every database."""

import pytest
from django.test import Client
from django.urls import reverse

ASKED = [
    ("admin:dispatch_command_emergency", "plants"),
    ("admin:dispatch_command_send", "plant"),
    ("admin:dispatch_emergencyorder_ask", "connection"),
    ("admin:dispatch_emergencyorder_ask", "organisation"),
    ("admin:schedules_override_begin", "plant"),
    ("admin:schedules_dayplan_publish", "versions"),
    ("admin:plants_deadletter_replay", "letters"),
    ("admin:plants_alarm_changelist", "organisation"),
]


@pytest.mark.parametrize(
    "text", ["9" * 30, "9" * 5000, "\u0661\u0662", "\u00b2"], ids=["30", "5000", "arabic", "power"]
)
def test_no_page_breaks_on_a_number_that_no_row_can_have(jana: Client, text: str) -> None:
    answers = {(name, key): jana.get(reverse(name), {key: text}).status_code for name, key in ASKED}

    assert {where: status for where, status in answers.items() if status >= 500} == {}
