"""The list of commands: keyset pages, filters in the address, search, and what may be new."""

from datetime import timedelta

import pytest
from django.test import Client

from console.commands import selectors
from console.commands.filters import Filters, filters_of
from console.commands.selectors import commands_page, count_newer
from dispatch.models import Command
from dispatch.services.life import advance
from dispatch.states import State
from tests import factories
from tests.console.seed_commands import hear
from tests.dispatch.helpers import ask, batch, deliver, message_of, mode, setpoint
from tests.dispatch.silences import explained, silent_command
from tests.factories import AT
from tests.queries import queries_of

pytestmark = pytest.mark.django_db
LIST = "/console/commands/"


@pytest.fixture
def plant(organisation):
    link = factories.connection(owner=organisation, rest_base_url="")
    return factories.plant(on=link, name="Brewery Přerov")


def shown(client: Client, **asked: object) -> list[int]:
    """The commands of a page in their order."""
    answer = client.get(LIST, asked)
    assert answer.status_code == 200
    return [row.command.pk for row in answer.context["rows"]]


def of(organisation, **asked: object) -> list[int]:
    found = commands_page(organisation_id=organisation.pk, filters=Filters(**asked), at=AT)
    return [row.pk for row in found.rows]


def test_pages_follow_each_other_without_a_gap_or_a_repetition(viewer_client, organisation, plant):
    made = [ask(plant, mode()).pk for _ in range(7)]

    first = commands_page(organisation_id=organisation.pk, filters=Filters(), at=AT, size=3)
    second = commands_page(
        organisation_id=organisation.pk, filters=Filters(before=first.older), at=AT, size=3
    )
    third = commands_page(
        organisation_id=organisation.pk, filters=Filters(before=second.older), at=AT, size=3
    )

    ids = [row.pk for found in (first, second, third) for row in found.rows]
    assert ids == made[::-1]
    assert third.older is None


def test_a_command_that_comes_while_people_page_moves_no_page(organisation, plant):
    made = [ask(plant, mode()).pk for _ in range(5)]
    first = commands_page(organisation_id=organisation.pk, filters=Filters(), at=AT, size=2)

    ask(plant, mode())

    second = commands_page(
        organisation_id=organisation.pk, filters=Filters(before=first.older), at=AT, size=2
    )
    assert [row.pk for row in second.rows] == [made[2], made[1]]


def test_other_organisations_are_neither_listed_nor_found_nor_opened(viewer_client, plant):
    stranger = ask(factories.plant(name="Brewery Brno"), mode())
    mine = ask(plant, mode())

    assert shown(viewer_client) == [mine.pk]
    assert shown(viewer_client, q=str(stranger.pk)) == []
    assert shown(viewer_client, q=str(message_of(stranger).message_id)) == []
    assert shown(viewer_client, q="Brewery") == [mine.pk]
    assert shown(viewer_client, plant=stranger.plant_id) == []
    for name in ("", "proof/", "record/", "record.json", "cancel/", "check/"):
        status = viewer_client.get(f"{LIST}{stranger.pk}/{name}").status_code
        assert status == (403 if name in ("cancel/", "check/") else 404)
    assert viewer_client.get(f"{LIST}rows/", {"ids": stranger.pk}).context["rows"] == []


def test_groups_of_states_hold_what_they_say(organisation, plant):
    open_one, done, failed, doubt, unsent = (ask(plant, mode()) for _ in range(5))
    advance(command_id=unsent.pk, to=State.CANCELLED, at=AT, cause="CANCELLED")
    for command, states in (
        (done, (State.SENT, State.COMPLETED)),
        (failed, (State.SENT, State.REJECTED)),
        (doubt, (State.SENT, State.UNCONFIRMED)),
    ):
        for state in states:
            advance(command_id=command.pk, to=state, at=AT, cause="TEST")

    found = {name: of(organisation, state=name) for name in ("open", "done", "failed", "doubt", "closed")}

    assert found == {
        "open": [open_one.pk],
        "done": [done.pk],
        "failed": [failed.pk],
        "doubt": [doubt.pk],
        "closed": [unsent.pk],
    }
    assert of(organisation, state="UNCONFIRMED") == [doubt.pk]


def test_a_missed_target_and_an_overdue_report_are_in_doubt_whatever_their_state(organisation, plant):
    missed, overdue, calm = ask(plant, setpoint()), ask(plant, mode()), ask(plant, mode())
    missed.verification.verdict = "OFF_TARGET"
    missed.verification.save()
    Command.objects.filter(pk=overdue.pk).update(execution_overdue=True)

    assert of(organisation, state="doubt") == [overdue.pk, missed.pk]
    assert calm.pk not in of(organisation, state="doubt")


def test_kind_plant_time_and_cause_narrow_together(organisation, plant):
    elsewhen = factories.plant(on=factories.connection(owner=organisation))
    early = ask(elsewhen, mode(), at=AT - timedelta(hours=3))
    silent = silent_command(plant=plant)
    explained(silent)
    elsewhere = ask(elsewhen, batch())

    assert of(organisation, kind="device") == [elsewhere.pk]
    assert of(organisation, plant=elsewhen.pk, kind="mode") == [early.pk]
    assert of(organisation, since="1h") == [elsewhere.pk, silent.pk]
    silent.diagnosis.refresh_from_db()
    assert of(organisation, cause=silent.diagnosis.cause) == [silent.pk]
    assert of(organisation, cause="CONSTRAINT_VIOLATION") == []


def test_origins_tell_people_plans_overrides_and_the_platform_apart(organisation, plant, person):
    who = person()
    made = {name: ask(plant, mode()) for name in ("person", "plan", "override", "api")}
    Command.objects.filter(pk=made["person"].pk).update(requested_by=who)
    Command.objects.filter(pk=made["plan"].pk).update(automatic=True, batch_ref="plan:7")
    Command.objects.filter(pk=made["override"].pk).update(requested_by=who, batch_ref="override:3")

    assert {name: of(organisation, origin=name) for name in made} == {
        name: [command.pk] for name, command in made.items()
    }


def test_a_day_is_the_plants_own_and_is_found_however_long_ago(organisation, plant):
    midnight = AT - timedelta(hours=4)  # in Prague, on 1 January, three hours and an hour of offset before AT
    before = ask(plant, mode(), at=midnight - timedelta(seconds=1))
    after = ask(plant, mode(), at=midnight)
    late = [ask(plant, mode(), at=AT + timedelta(days=number)).pk for number in (1, 2, 3)]

    asked = filters_of({"day": "2026-01-02"})
    assert of(organisation, day=asked.day) == [after.pk]
    assert of(organisation, day=filters_of({"day": "2026-01-01"}).day) == [before.pk]
    assert of(organisation, day=filters_of({"day": "2026-01-05"}).day) == [late[2]]
    assert of(organisation, day=filters_of({"day": "2025-12-01"}).day) == []


def test_a_search_takes_numbers_message_ids_correlations_heard_messages_and_names(viewer_client, plant):
    command, other = ask(plant, mode()), ask(factories.plant(on=plant.connection, name="Quarry"), mode())
    deliver(plant.connection)
    hear(command, State.ACCEPTED, "ACK_ACCEPTED", at=AT)
    heard = command.events.get(cause="ACK_ACCEPTED").inbound

    for text in (
        command.pk,
        f"#{command.pk}",
        message_of(command).message_id,
        str(message_of(command).correlation_id).upper(),
        heard.message_id,
        "přerov",
        plant.external_plant_id.lower(),
    ):
        assert shown(viewer_client, q=text) == [command.pk], text
    assert shown(viewer_client, q="quarry") == [other.pk]


@pytest.mark.parametrize(
    "query",
    [
        "state=NONSENSE&kind=x&cause=%00&origin=me&since=1y&day=yesterday&plant=abc&before=-1",
        "q=%00",
        "q=" + "9" * 40,
        "plant=99999999999999999999&before=99999999999999999999999",
        "plant=9999999999999999999&before=9999999999999999999",
        "q=²&plant=²",
        "day=0001-01-01",
        "day=9999-12-31",
        "q=%25%27%22%3Cscript%3E",
    ],
)
def test_an_address_that_means_nothing_shows_a_page_all_the_same(viewer_client, plant, query):
    ask(plant, mode())

    assert viewer_client.get(f"{LIST}?{query}").status_code == 200
    assert viewer_client.get(f"{LIST}news/?than=1&{query}").status_code == 200


def test_what_a_person_typed_is_shown_as_text_only(viewer_client, plant):
    answer = viewer_client.get(LIST, {"q": "<script>alert(1)</script>"})

    assert "<script>alert(1)" not in answer.content.decode()


def test_a_rare_filter_stops_after_its_share_of_the_past_and_leads_further_back(
    monkeypatch, viewer_client, organisation, plant
):
    monkeypatch.setattr(selectors, "LOOKED_THROUGH", 4)
    rare = ask(plant, batch())
    for _ in range(6):
        ask(plant, mode())

    first = commands_page(organisation_id=organisation.pk, filters=Filters(kind="device"), at=AT)
    second = commands_page(
        organisation_id=organisation.pk, filters=Filters(kind="device", before=first.older), at=AT
    )

    assert (list(first.rows), first.cut) == ([], True)
    assert [row.pk for row in second.rows] == [rare.pk]
    assert (second.older, second.cut) == (None, False)
    assert "Look further back" in viewer_client.get(LIST, {"kind": "device"}).content.decode()


def test_new_ones_are_counted_as_the_filters_are_and_no_further_than_a_hundred(
    monkeypatch, viewer_client, organisation, plant
):
    first = ask(plant, mode())
    for _ in range(3):
        ask(plant, batch())
    ask(plant, mode())

    assert (
        count_newer(organisation_id=organisation.pk, filters=Filters(kind="device"), than=first.pk, at=AT)
        == 3
    )
    assert "4 new" in viewer_client.get(f"{LIST}news/", {"than": first.pk}).content.decode()
    monkeypatch.setattr(selectors, "NEW_COUNTED", 2)
    assert count_newer(organisation_id=organisation.pk, filters=Filters(), than=first.pk, at=AT) == 2


def test_rows_that_a_page_shows_are_told_as_they_are_now(viewer_client, plant):
    command = ask(plant, mode())
    advance(command_id=command.pk, to=State.SENT, at=AT, cause="CONFIRMED")

    text = viewer_client.get(f"{LIST}rows/", {"ids": f"{command.pk},x,{10**30}"}).content.decode()

    assert f'id="row-{command.pk}"' in text
    assert 'data-state="SENT"' in text


def test_a_page_takes_as_many_queries_with_fifty_rows_as_with_one(viewer_client, plant):
    ask(plant, setpoint())
    viewer_client.get(LIST)
    one = queries_of(lambda: viewer_client.get(LIST))
    for number in range(12):
        begins = AT + timedelta(minutes=15 * number)
        ask(plant, setpoint(valid_from=begins, valid_until=begins + timedelta(minutes=15)))

    assert queries_of(lambda: viewer_client.get(LIST)) == one
    filtered = queries_of(lambda: viewer_client.get(LIST, {"state": "doubt", "origin": "plan"}))
    assert filtered == one + 1


def test_an_empty_list_says_why_and_what_to_do(viewer_client, plant):
    assert "No commands yet" in viewer_client.get(LIST).content.decode()
    ask(plant, mode())
    text = viewer_client.get(LIST, {"state": "failed"}).content.decode()
    assert "Nothing found" in text
    assert "Show all" in text
