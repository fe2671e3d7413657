"""The list of connections is paged, the worst first; the foot of the navigation says how many it leaves out."""

import re
from datetime import timedelta

import pytest
from django.test import Client

from console.connect.listing import PER_PAGE
from plants.models import Connection, ConnectionMode, LinkHealth, LinkState, Organisation
from plants.services.link_health import note_link
from tests import factories
from tests.factories import AT
from tests.queries import queries_of

pytestmark = pytest.mark.django_db
LIST = "/console/connections/"
_NAMES = re.compile(r'<h2 class="grow ell"><a href="[^"]*">([^<]*)</a>')


def made(organisation: Organisation, name: str, state: LinkState | None = LinkState.CONNECTED) -> Connection:
    """One that only listens, in this state; None = it is retired."""
    retired_at = AT - timedelta(days=1) if state is None else None
    link = factories.connection(
        owner=organisation, name=name, mode=ConnectionMode.OBSERVE, retired_at=retired_at
    )
    if state is not None:
        note_link(connection_id=link.pk, role=LinkHealth.Role.CONSUME, state=state, at=AT)
    return link


def names(client: Client, query: str = "") -> list[str]:
    return _NAMES.findall(client.get(LIST + query).content.decode())


def foot(client: Client) -> str:
    html = client.get("/console/account/").content.decode()
    return html.partition("data-links>")[2].partition("</nav>")[0]


def test_those_that_need_somebody_are_first_and_the_retired_last(
    viewer_client: Client, organisation: Organisation
) -> None:
    made(organisation, "left", None)
    made(organisation, "well")
    made(organisation, "on its way", LinkState.CONNECTING)
    made(organisation, "away", LinkState.DOWN)

    assert names(viewer_client) == ["away", "on its way", "well", "left"]


def test_a_page_is_bounded_and_every_connection_is_on_one(
    viewer_client: Client, organisation: Organisation
) -> None:
    for number in range(PER_PAGE - 1):
        made(organisation, f"well {number}")
    made(organisation, "away", LinkState.DOWN)
    for number in range(3):
        made(organisation, f"left {number}", None)

    first, second = names(viewer_client), names(viewer_client, "?page=2")

    assert (len(first), len(second)) == (PER_PAGE, 3)
    assert first[0] == "away"
    assert len({*first, *second}) == PER_PAGE + 3
    page = viewer_client.get(LIST + "?page=2").content.decode()
    assert f"{PER_PAGE + 1} to {PER_PAGE + 3} of {PER_PAGE + 3}" in page
    assert 'href="?page=1"' in page
    assert 'href="?page=3"' not in page


@pytest.mark.parametrize("page", ["0", "-1", "x", "999999999999999999", "9" * 40])
def test_a_page_that_does_not_exist_is_the_nearest(
    viewer_client: Client, organisation: Organisation, page: str
) -> None:
    made(organisation, "one")

    assert names(viewer_client, f"?page={page}") == ["one"]


def test_the_foot_shows_the_worst_and_counts_the_others(
    viewer_client: Client, organisation: Organisation
) -> None:
    for number in range(4):
        made(organisation, f"well {number}")
    made(organisation, "left", None)
    assert "and 1 more</a>" in foot(viewer_client)

    few = queries_of(lambda: viewer_client.get(LIST))
    for number in range(4):
        made(organisation, f"away {number}", LinkState.DOWN)

    text = foot(viewer_client)
    assert "away 2" in text
    assert "away 3" not in text
    assert f'href="{LIST}">and 5 more, 1 of them not well</a>' in text
    assert queries_of(lambda: viewer_client.get(LIST)) == few


def test_three_are_all_shown_and_nothing_is_said_of_others(
    viewer_client: Client, organisation: Organisation
) -> None:
    for number in range(3):
        made(organisation, f"well {number}")

    assert "more" not in foot(viewer_client)
