"""The command screen as people get it: the list with its filters, a command's story, messages and record."""


import pytest
from django.urls import reverse

from tests.console.seed_commands import seed
from tests.factories import AT

pytestmark = pytest.mark.django_db
LIST = "/console/commands/"


def url(command, name: str = "command") -> str:
    return reverse(f"console:commands:{name}", args=[command.pk])


def test_every_command_of_a_lived_in_organisation_has_a_page_and_a_record(viewer_client, organisation):
    made = seed(organisation, at=AT)
    everyone = [*made.every, made.verified, made.off_target, made.unanswered, made.unanswered_verified]

    answers = [
        viewer_client.get(url(command, name)).status_code
        for command in everyone
        for name in ("command", "record", "record-file")
    ]

    assert set(answers) == {200}
