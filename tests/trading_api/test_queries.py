"""What each endpoint costs the database, pinned: a new query has to be meant."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.trading_api.conftest import Voke, block, edit, wire
from trading_api.services import disable_credential

pytestmark = pytest.mark.django_db
_BRACKETS = ("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT", "ROLLBACK")


@contextmanager
def statements() -> Iterator[list[str]]:
    """The verbs and tables of the statements run within, without transaction brackets."""
    seen: list[str] = []
    with CaptureQueriesContext(connection) as captured:
        yield seen
    for query in captured.captured_queries:
        if not query["sql"].startswith(_BRACKETS):
            words = query["sql"].replace('"', "").split()
            if words[0] == "WITH":  # a journal row that takes its credential's newest token along, or a list
                words = words[words.index("INSERT" if "INSERT" in words else "SELECT") :]
            after = {"SELECT": "FROM", "INSERT": "INTO", "UPDATE": "UPDATE"}[words[0]]
            named = [table for word, table in pairwise(words) if word == after and not table.endswith(")")]
            seen.append(
                f"{words[0]} {named[-1]}"
            )  # the last FROM: subqueries stand before it, or end with it


def cost(pull: Callable[[], object]) -> list[str]:
    with statements() as seen:
        pull()
    return seen


JOURNAL = "INSERT trading_api_pulljournal"
ACCESS = "SELECT trading_api_credential"


@pytest.fixture
def warm(voke: Voke) -> Voke:
    """With a config that this credential has been served."""
    edit(voke.plant, block(0, 360), block(360, 1440))
    voke.config()
    return voke


def test_token(warm: Voke) -> None:
    noted = (
        ["UPDATE trading_api_credential"] if connection.vendor == "sqlite" else []
    )  # else in the row's statement
    assert cost(warm.token) == [ACCESS, JOURNAL, *noted]


def test_a_wrong_secret(warm: Voke) -> None:
    assert cost(lambda: warm.token(clientSecret="wrong")) == [ACCESS, JOURNAL]


def test_list(warm: Voke) -> None:
    assert cost(warm.list) == ["SELECT plants_plant", JOURNAL]  # which tells the access too


def test_an_empty_list_asks_for_the_access_before_the_plants(voke: Voke) -> None:
    voke.plant.delete()
    assert cost(voke.list) == ["SELECT plants_plant", ACCESS, "SELECT plants_plant", JOURNAL]


def test_list_304(warm: Voke) -> None:
    tag = warm.list()["ETag"]
    assert cost(lambda: warm.list(If_None_Match=tag)) == [ACCESS, JOURNAL]


def test_a_list_that_may_be_known_and_one_that_may_not_be_seen_ask_for_the_access_once(warm: Voke) -> None:
    assert cost(lambda: warm.list(If_None_Match='"other"')) == [ACCESS, "SELECT plants_plant", JOURNAL]
    disable_credential(credential=warm.credential)
    refused = cost(lambda: warm.list(If_None_Match="*"))
    assert refused == [ACCESS, ACCESS, JOURNAL]  # the second finds whose row it is


def test_config(warm: Voke) -> None:
    assert cost(warm.config) == [ACCESS, "SELECT plants_timeconfigblock", JOURNAL]


def test_config_304(warm: Voke) -> None:
    tag = warm.config()["ETag"]
    assert cost(lambda: warm.config(If_None_Match=tag)) == [ACCESS, JOURNAL]


def test_config_of_a_new_version_is_recorded_as_served_once(warm: Voke) -> None:
    edit(warm.plant, block())
    first, second = cost(warm.config), cost(warm.config)
    assert first == [ACCESS, "SELECT plants_timeconfigblock", "INSERT trading_api_servedversion", JOURNAL]
    assert second == [ACCESS, "SELECT plants_timeconfigblock", JOURNAL]


def test_an_update_that_is_in_force(warm: Voke) -> None:
    warm.update(wire())
    assert cost(lambda: warm.update(wire())) == [
        ACCESS,
        "SELECT plants_plant",
        "SELECT trading_api_configupdaterequest",
        "SELECT plants_timeconfigversion",
        "SELECT plants_timeconfigblock",
        "SELECT trading_api_configupdaterequest",
        "SELECT trading_api_servedversion",
        JOURNAL,
    ]


def test_an_update_that_is_applied(warm: Voke) -> None:
    spent = cost(lambda: warm.update(wire()))
    assert spent[:7] == [
        ACCESS,
        "SELECT plants_plant",
        "SELECT trading_api_configupdaterequest",
        "SELECT plants_timeconfigversion",
        "SELECT plants_timeconfigblock",
        "SELECT plants_asset",
        "SELECT trading_api_servedversion",
    ]
    assert spent[-7:] == [
        "INSERT plants_timeconfigversion",
        "INSERT plants_timeconfigblock",
        "UPDATE plants_plant",
        "UPDATE plants_organisation",
        "INSERT trading_api_configupdaterequest",
        "INSERT trading_api_servedversion",
        JOURNAL,
    ]
    assert len(spent) <= 18  # between them set_time_config reads what it checks, under the same lock


def test_a_forged_token_never_reaches_the_database_but_for_its_row(warm: Voke) -> None:
    warm.bearer = "forged"
    assert cost(warm.list) == [JOURNAL]
