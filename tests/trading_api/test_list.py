"""GET /trading/plant/list."""

from unittest import mock

import pytest
from django.db import OperationalError
from django.forms import model_to_dict
from django.test import Client
from pytest_django import Settings

from esm.metrics import REQUESTS
from plants.models import Plant
from plants.services.plants import save_plant
from tests import factories
from tests.factories import AT
from tests.trading_api.conftest import Voke, newest_row, voke_for
from trading_api import selectors
from trading_api.services import disable_credential
from trading_api.views import PlantListView

pytestmark = pytest.mark.django_db


def names(voke: Voke, query: str = "") -> list[str]:
    return [item["plantId"] for item in voke.list(query).json()]


@pytest.fixture
def three(voke: Voke) -> Voke:
    for ref in ("C", "A", "B"):
        factories.plant(on=voke.plant.connection, external_plant_id=ref)
    Plant.objects.filter(pk=voke.plant.pk).update(external_plant_id="D")
    return voke


def test_the_list_holds_the_plants_of_the_tokens_organisation_only(three: Voke) -> None:
    factories.plant(external_plant_id="FOREIGN")
    assert names(three) == ["A", "B", "C", "D"]


def test_an_organisation_without_plants_gets_an_empty_list(plant: Plant) -> None:
    voke = voke_for(plant).authorise()
    Plant.objects.all().delete()
    assert voke.list().json() == []


def test_the_list_carries_a_validator_and_may_be_kept_by_its_caller_only(voke: Voke) -> None:
    answer = voke.list()
    assert answer["Cache-Control"] == "private, no-cache"
    assert answer["Vary"] == "Authorization"
    assert answer["ETag"].startswith('"')


@pytest.mark.parametrize("form", ["{tag}", "W/{tag}", '"other", {tag}', '"other",W/{tag} , "x"', "*"])
def test_a_known_tag_in_any_form_is_answered_304(voke: Voke, form: str) -> None:
    tag = voke.list()["ETag"]
    answer = voke.list(If_None_Match=form.format(tag=tag))
    assert (answer.status_code, answer.content, answer["ETag"]) == (304, b"", tag)
    assert answer["Cache-Control"] == "private, no-cache"


@pytest.mark.parametrize("form", ['"other"', "{bare}", "", ",", '"'])
def test_any_other_tag_is_answered_in_full(voke: Voke, form: str) -> None:
    bare = voke.list()["ETag"].strip('"')
    assert voke.list(If_None_Match=form.format(bare=bare)).status_code == 200


def test_a_change_of_any_plant_changes_the_tag(voke: Voke) -> None:
    tag = voke.list()["ETag"]
    voke.plant.name = "Renamed"
    save_plant(plant=voke.plant, at=AT)
    answer = voke.list(If_None_Match=tag)
    assert (answer.status_code, answer.json()[0]["name"]) == (200, "Renamed")


def test_a_change_in_another_organisation_does_not(voke: Voke) -> None:
    tag = voke.list()["ETag"]
    factories.plant()
    assert voke.list(If_None_Match=tag).status_code == 304


def test_a_change_of_the_mapping_settings_changes_the_tag_and_the_form(
    voke: Voke, settings: Settings
) -> None:
    tag = voke.list()["ETag"]
    settings.TRADING_LIST_KEY = "plants"
    answer = voke.list(If_None_Match=tag)
    assert (answer.status_code, len(answer.json()["plants"])) == (200, 1)


def test_two_organisations_of_the_same_revision_have_different_tags(voke: Voke) -> None:
    other = voke_for(factories.plant()).authorise()
    assert voke.plant.organisation.revision == other.plant.organisation.revision
    assert voke.list()["ETag"] != other.list()["ETag"]


def test_a_list_beyond_the_bound_is_cut_and_says_how_many_there_are(three: Voke, settings: Settings) -> None:
    settings.TRADING_LIST_MAX = 3
    answer = three.list()
    assert ([item["plantId"] for item in answer.json()], answer["X-Total-Count"]) == (["A", "B", "C"], "4")


def test_a_whole_list_needs_no_count(three: Voke) -> None:
    assert "X-Total-Count" not in three.list().headers


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("?limit=3", ["A", "B", "C"]),
        ("?page=2&limit=3", ["D"]),
        ("?page=2&limit=2", ["C", "D"]),
        ("?page=9&limit=2", []),
        ("?page=1", ["A", "B", "C", "D"]),
    ],
)
def test_pages_are_those_of_voke_with_the_total_beside_them(
    three: Voke, query: str, found: list[str]
) -> None:
    assert names(three, query) == found
    assert three.list(query)["X-Total-Count"] == "4"


def test_each_page_has_its_own_tag(three: Voke) -> None:
    tag = three.list("?page=1&limit=2")["ETag"]
    assert three.list("?page=2&limit=2", If_None_Match=tag).status_code == 200


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("?limit=1001", "limit"),
        ("?limit=0", "limit"),
        ("?page=0", "page"),
        ("?page=x", "page"),
        ("?limit=٣", "limit"),
    ],
)
def test_a_page_that_cannot_be_is_400_with_the_parameter(voke: Voke, query: str, path: str) -> None:
    answer = voke.list(query)
    assert (answer.status_code, answer.json()["details"][0]["path"]) == (400, path)


@pytest.mark.parametrize("accept", ["text/html", "application/xml", "image/png;q=1", "nonsense"])
def test_whatever_is_accepted_json_is_answered(voke: Voke, accept: str) -> None:
    answer = voke.list(Accept=accept)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/json")


@pytest.mark.parametrize(("query", "path"), [("?page=1&page=2", "page"), ("?limit=5&limit=5", "limit")])
def test_a_parameter_that_is_given_twice_is_refused(voke: Voke, query: str, path: str) -> None:
    answer = voke.list(query)
    assert (answer.status_code, answer.json()["details"][0]["path"]) == (400, path)


def test_a_304_is_the_same_whoever_answers_it(voke: Voke) -> None:
    """The middleware to GET without a page, the view to HEAD and to pages."""
    tag = voke.list()["ETag"]
    short = voke.list(If_None_Match=tag, X_Request_Id="the-same-for-all")
    seen = newest_row()
    head = voke.client.head(
        "/trading/plant/list",
        headers=voke.headers() | {"If-None-Match": tag, "X-Request-Id": "the-same-for-all"},
    )
    by_view = newest_row()
    assert (short.status_code, head.status_code) == (304, 304)
    assert {**dict(short.items()), "Content-Length": "0"} == dict(head.items())
    told = ("organisation_id", "credential_id", "client_id", "status", "result", "endpoint", "bytes_out")
    assert [getattr(seen, name) for name in told] == [getattr(by_view, name) for name in told]


def test_a_304_describes_no_body_and_is_allowed_nothing(voke: Voke) -> None:
    answer = voke.list(If_None_Match="*")
    assert "Content-Type" not in answer
    assert answer["Content-Security-Policy"].startswith("default-src 'none'; base-uri 'none'")


@pytest.mark.parametrize("host", ["stranger.example", "a b"])
def test_a_wrong_host_is_refused_also_when_nothing_has_changed(voke: Voke, host: str) -> None:
    tag = voke.list()["ETag"]
    answer = voke.client.get(
        "/trading/plant/list", headers=voke.headers() | {"If-None-Match": tag, "Host": host}
    )
    assert (answer.status_code, answer.json()["code"]) == (400, "BAD_REQUEST")


def test_a_wrong_token_is_refused_whatever_tag_it_names(voke: Voke) -> None:
    voke.bearer = "forged"
    answer = voke.list(If_None_Match="*")
    assert (answer.status_code, answer.json()["code"]) == (401, "UNAUTHORIZED")


def test_a_database_that_fails_is_asked_once_and_told_as_503(voke: Voke) -> None:
    with mock.patch.object(
        selectors, "access", autospec=True, side_effect=OperationalError("gone")
    ) as access:
        answer = voke.list(If_None_Match="*")
    assert (answer.status_code, answer.json()["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert access.call_count == 1


def test_a_database_that_fails_over_a_plain_list_is_asked_once_and_told_as_503(voke: Voke) -> None:
    with mock.patch.object(
        selectors, "access_with_plants", autospec=True, side_effect=OperationalError("gone")
    ) as asked:
        answer = voke.list()
    assert (answer.status_code, answer.json()["code"]) == (503, "SERVICE_UNAVAILABLE")
    assert asked.call_count == 1


def _seen_from_outside(voke: Voke, headers: dict[str, str], path: str) -> tuple[object, ...]:
    """Status, body, headers, journal row and counted requests of one GET."""
    given = voke.headers() | {"X-Request-Id": "the-same-for-all"} | headers
    before = _counted()
    answer = voke.client.get(path, headers=given)
    row = model_to_dict(newest_row(), exclude=["id", "latency_ms"])
    counted = {key: times - before.get(key, 0) for key, times in _counted().items()}
    told = {name.lower(): value for name, value in answer.items()}
    if answer.status_code == 304:  # the shell takes the length away: there is no body to have one
        told.pop("content-length", None)
    else:
        told["content-length"] = str(len(answer.content))  # the shell's word for every answer with a body
    return answer.status_code, answer.content, told, row, {key: n for key, n in counted.items() if n}


def _counted() -> dict[tuple[str, ...], float]:
    return {
        tuple(sample.labels.values()): sample.value
        for metric in REQUESTS.collect()
        for sample in metric.samples
        if sample.name.endswith("_total")
    }


_CASES = [
    "plain",
    "known",
    "star",
    "other tag",
    "empty",
    "cut",
    "wrapped",
    "forged",
    "none",
    "revoked",
    "host",
]


@pytest.mark.parametrize("case", _CASES)
@pytest.mark.parametrize("path", ["/trading/plant/list", "/any/prefix/trading/plant/list/"])
def test_the_short_way_answers_as_the_view_does(
    three: Voke, settings: Settings, case: str, path: str
) -> None:
    headers: dict[str, str] = {}
    match case:
        case "known":
            headers["If-None-Match"] = three.list()["ETag"]
        case "star":
            headers["If-None-Match"] = "*"
        case "other tag":
            headers["If-None-Match"] = '"other"'
        case "empty":
            Plant.objects.all().delete()
        case "cut":
            settings.TRADING_LIST_MAX = 3
        case "wrapped":
            settings.TRADING_LIST_KEY = "plants"
        case "forged":
            three.bearer = "forged"
        case "none":
            three.bearer = None
        case "revoked":
            disable_credential(credential=three.credential)
        case "host":
            headers["Host"] = "stranger.example"
    short = _seen_from_outside(three, headers, path)
    settings.MIDDLEWARE = [name for name in settings.MIDDLEWARE if "PlainList" not in name]
    three.client = Client(raise_request_exception=False)
    assert _seen_from_outside(three, headers, path) == short


def test_the_plain_list_needs_no_view_and_a_page_does(voke: Voke) -> None:
    with mock.patch.object(PlantListView, "get", autospec=True, side_effect=KeyError("view")):
        assert (voke.list().status_code, voke.list("?page=1").status_code) == (200, 500)
