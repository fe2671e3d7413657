"""Every page of an organisation in which everything has happened: each state has its page, its record, its chart."""

import pytest
from django.urls import reverse

from dispatch.states import State
from tests.console.seed_commands import seed
from tests.factories import AT

pytestmark = pytest.mark.django_db


def test_every_state_of_a_lived_in_organisation_has_its_pages(viewer_client, organisation):
    made = seed(organisation, at=AT, count=18)
    everyone = [*made.every, made.verified, made.off_target, made.unanswered, made.unanswered_verified]
    for command in everyone:
        command.refresh_from_db()
    one_of_each = {command.state: command for command in everyone}

    answers = {
        (state, name): viewer_client.get(
            reverse(f"console:commands:{name}", args=[command.pk]),
            headers={"HX-Request": "true", "HX-Target": "command"},
        ).status_code
        for state, command in one_of_each.items()
        for name in ("command", "record", "proof")
    }

    assert set(answers.values()) == {200}
    assert len(one_of_each) >= len(State) - 2
