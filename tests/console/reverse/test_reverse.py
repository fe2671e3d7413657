"""The reverse channel's screen: what Voke pulled, what it holds, what waits for a person."""

from uuid import uuid4

import pytest
from django.test import Client
from django.urls import reverse

from people.models import AuditEntry
from plants.models import Organisation, Plant
from tests import factories
from tests.console.seed_reverse import plants_with_configs, pulled
from tests.factories import AT
from tests.queries import queries_of
from trading_api.models import ConfigUpdateRequest, PullJournal, UpdateState
from trading_api.selectors_pulls import PAGE, Wanted, cells_of_day, holding, plants_behind, pulls

pytestmark = pytest.mark.django_db
OVERVIEW = "/console/reverse/"


def _text(client: Client, path: str) -> str:
    answer = client.get(path)
    assert answer.status_code == 200, answer
    return answer.content.decode()


def _open_update() -> ConfigUpdateRequest:
    return ConfigUpdateRequest.objects.get(state=UpdateState.OPEN)


def test_before_the_first_pull_the_page_says_what_to_do_next(viewer_client: Client) -> None:
    text = _text(viewer_client, OVERVIEW)

    assert "Voke has not pulled yet" in text
    assert "Issue credentials on Connections" in text
    assert "No request yet" in text


def test_the_page_tells_the_last_pull_what_waits_and_the_journal(
    viewer_client: Client, organisation: Organisation
) -> None:
    pulled(organisation, at=AT)

    text = _text(viewer_client, OVERVIEW)

    assert "1 update of Voke waits for review" in text
    assert "Deciding takes the role Engineer" in text
    assert text.count("<tr><td") >= 40


def test_of_many_updates_that_wait_all_are_counted_and_the_oldest_are_shown(
    viewer_client: Client, organisation: Organisation
) -> None:
    pulled(organisation, at=AT)
    one, ids = _open_update(), [uuid4() for _ in range(22)]
    plants = [factories.plant(on=one.plant.connection) for _ in ids]
    ConfigUpdateRequest.objects.bulk_create(
        ConfigUpdateRequest(
            request_id=request_id,
            plant=plant,
            credential=one.credential,
            blocks=one.blocks,
            state=UpdateState.OPEN,
            asked_at=AT,
        )
        for request_id, plant in zip(ids, plants, strict=True)
    )

    text = _text(viewer_client, OVERVIEW)

    assert "23 updates of Voke wait for review" in text
    assert "The oldest are shown" in text
    assert (plants[18].name in text, plants[19].name in text) == (True, False)


def test_nothing_of_another_organisation_is_shown(viewer_client: Client, organisation: Organisation) -> None:
    pulled(factories.organisation(), at=AT)
    row = PullJournal.objects.filter(organisation__isnull=False).first()
    update = _open_update()

    assert "No request yet" in _text(viewer_client, OVERVIEW)
    assert row is not None
    assert viewer_client.get(reverse("console:reverse:pull", args=[row.pk])).status_code == 404
    assert (
        viewer_client.get(reverse("console:reverse:decide", args=[update.pk, "approve"])).status_code == 403
    )


def test_an_engineer_of_another_organisation_finds_no_such_update(engineer_client: Client) -> None:
    pulled(factories.organisation(), at=AT)

    answer = engineer_client.get(reverse("console:reverse:decide", args=[_open_update().pk, "approve"]))

    assert answer.status_code == 404


@pytest.mark.parametrize("word", ["approve", "refuse"])
def test_an_operator_may_not_decide(operator_client: Client, organisation: Organisation, word: str) -> None:
    pulled(organisation, at=AT)

    answer = operator_client.post(reverse("console:reverse:decide", args=[_open_update().pk, word]))

    assert answer.status_code == 403
    assert "Engineer" in answer.content.decode()
    assert _open_update().decided_at is None


def test_an_approved_update_becomes_the_plants_config_and_is_audited(
    engineer_client: Client, organisation: Organisation
) -> None:
    pulled(organisation, at=AT)
    update = _open_update()
    address = reverse("console:reverse:decide", args=[update.pk, "approve"])
    assert "become a new version" in _text(engineer_client, address)

    answer = engineer_client.post(address, {"reason": "agreed by phone"})

    assert answer["HX-Redirect"] == OVERVIEW
    update.refresh_from_db()
    assert (update.state, update.decided_by_name, update.note) == (
        UpdateState.APPLIED,
        "engineer",
        "agreed by phone",
    )
    entry = AuditEntry.objects.get()
    assert (entry.action, entry.before, entry.after) == ("update.approved", {"version": 1}, {"version": 2})


def test_a_refusal_takes_a_reason(engineer_client: Client, organisation: Organisation) -> None:
    pulled(organisation, at=AT)
    address = reverse("console:reverse:decide", args=[_open_update().pk, "refuse"])

    without = engineer_client.post(address, {"reason": "  "})
    given = engineer_client.post(address, {"reason": "the site needs its reserve"})

    assert without.status_code == 422
    assert "Say why" in without.content.decode()
    assert given.status_code == 204
    assert AuditEntry.objects.get().action == "update.refused"


@pytest.mark.parametrize("word", ["approve", "refuse"])
def test_who_decides_sees_every_span_that_changes(
    engineer_client: Client, organisation: Organisation, word: str
) -> None:
    pulled(organisation, at=AT)
    update = _open_update()
    hours = [
        {**update.blocks[0], "start_minute": 60 * hour, "end_minute": 60 * (hour + 1)} for hour in range(24)
    ]
    ConfigUpdateRequest.objects.filter(pk=update.pk).update(blocks=hours)

    text = _text(engineer_client, reverse("console:reverse:decide", args=[update.pk, word]))

    assert text.count("new:") == 24
    assert text.count("no longer:") == 2


def test_an_update_is_decided_once(engineer_client: Client, organisation: Organisation) -> None:
    pulled(organisation, at=AT)
    address = reverse("console:reverse:decide", args=[_open_update().pk, "approve"])
    engineer_client.post(address)

    again = engineer_client.post(address)

    assert again.status_code == 422
    assert AuditEntry.objects.count() == 1


def test_the_journal_is_paged_by_id_and_filtered(organisation: Organisation) -> None:
    pulled(organisation, at=AT, requests=160)
    first, following = pulls(organisation_id=organisation.pk, wanted=Wanted())
    second, _ = pulls(organisation_id=organisation.pk, wanted=Wanted(before=following))
    refused, _ = pulls(organisation_id=organisation.pk, wanted=Wanted(answer="refused"))

    assert len(first) == PAGE
    assert {row.pk for row in first}.isdisjoint(row.pk for row in second)
    assert max(row.pk for row in second) < min(row.pk for row in first)
    assert {row.status for row in refused} == {404}


def test_a_day_is_counted_in_cells_of_ten_minutes(organisation: Organisation) -> None:
    pulled(organisation, at=AT, requests=160)
    mine = PullJournal.objects.filter(organisation=organisation).count()

    cells = cells_of_day(organisation_id=organisation.pk, at=AT)

    assert sum(cell.count for cell in cells) == mine
    assert all(cell.start_at.minute % 10 == 0 and cell.start_at.second == 0 for cell in cells)
    assert len({(cell.endpoint, cell.start_at) for cell in cells}) == len(cells)
    assert {cell.endpoint for cell in cells if cell.refused} == {"config", "list"}


def test_the_day_is_drawn_with_what_voke_holds(viewer_client: Client, organisation: Organisation) -> None:
    pulled(organisation, at=AT, requests=160)

    text = _text(viewer_client, "/console/reverse/day/")

    assert 'class="tick-bad"' in text
    assert 'class="tick-ok"' in text
    assert "Voke holds the config in force" in text
    assert "never pulled" in text


def test_held_versions_are_counted_and_those_behind_are_named(organisation: Organisation) -> None:
    made, _ = pulled(organisation, at=AT, plants=5)

    held = holding(organisation_id=organisation.pk)

    assert (held.current, held.older, held.never) == (4, 0, 1)
    assert [plant.pk for plant in plants_behind(organisation_id=organisation.pk)] == [made[-1].pk]


def test_queries_do_not_grow_with_plants_updates_and_pulls(
    viewer_client: Client, organisation: Organisation
) -> None:
    pulled(organisation, at=AT, plants=2, requests=20)
    few = queries_of(lambda: _text(viewer_client, OVERVIEW))
    plants_with_configs(organisation, count=6, at=AT)
    for number, plant in enumerate(Plant.objects.filter(config_updates__isnull=True)):
        update = _open_update_like(plant, number)
        assert update.pk

    many = queries_of(lambda: _text(viewer_client, OVERVIEW))

    assert many == few <= 24


def _open_update_like(plant: Plant, number: int) -> ConfigUpdateRequest:
    first = _first_update()
    return ConfigUpdateRequest.objects.create(
        request_id=f"00000000-0000-0000-0000-{number:012d}",
        plant=plant,
        credential=first.credential,
        blocks=first.blocks,
        state=UpdateState.OPEN,
        held_because=first.held_because,
        asked_at=AT,
    )


def _first_update() -> ConfigUpdateRequest:
    return ConfigUpdateRequest.objects.order_by("pk")[0]
