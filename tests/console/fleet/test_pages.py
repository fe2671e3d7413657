"""The fleet's page and its parts: what they show, to whom, and how little they ask the database."""

import csv
import io

import pytest
from django.test import Client
from django.urls import reverse

from plants.models import LinkHealth, LinkState
from tests import factories
from tests.admin.pages import text_of
from tests.console import seed_fleet as seed
from tests.console.seed_fleet import NOW
from tests.queries import queries_of

pytestmark = pytest.mark.django_db
LIST, TOP = reverse("console:fleet:list"), reverse("console:fleet:top")
PART = {"HX-Request": "true", "HX-Target": "fleet-list"}


def rows_url(*plants):
    return f"{reverse('console:fleet:rows')}?ids={','.join(str(plant.pk) for plant in plants)}"


def peek_url(plant):
    return reverse("console:fleet:peek", args=[plant.pk])


def test_the_page_says_what_the_fleet_does_and_whether_that_is_the_plan(organisation, viewer_client):
    seed.make_fleet(organisation, NOW)

    shown = text_of(viewer_client.get(LIST))

    assert "9 plants, 8 live" in shown
    assert "747 kW out" in shown
    assert "Plan 700 kW. 92 % followed" in shown
    assert "1 without a plan, 1 of 9 missing" in shown


def test_what_needs_a_person_stands_above_the_list_and_each_card_filters_it(organisation, viewer_client):
    seed.make_fleet(organisation, NOW)

    page = viewer_client.get(LIST)

    told = {card.title: (card.text, card.url) for card in page.context["cards"]}
    assert {title: url.partition("?")[2] for title, (_text, url) in told.items()} == {
        "1 stopped": "view=latched",
        "Status silent 3\u202fh": f"view=unanswered&connection={page.context['links'][0].pk}",
        "1 unanswered": "view=unanswered",
        "2 off plan": "view=off-plan",
        "1 without data": "view=no-data",
    }
    assert "Sawmill Zdirec 41" in told["2 off plan"][0]
    assert told["1 without data"][0] == "Hospital Tabor 14\u202fmin"


def test_a_calm_fleet_looks_calm(organisation, viewer_client):
    plant = seed.plant(seed.link(organisation, NOW), "Depot", 1)
    seed.measured(plant, NOW)
    seed.planned([plant], NOW)

    page = viewer_client.get(LIST)

    assert page.context["cards"] == []
    assert "Nothing needs a person." in text_of(page)
    assert "On plan" in text_of(page)


def test_an_organisation_without_plants_is_told_what_to_do_first(viewer_client):
    shown = text_of(viewer_client.get(LIST))

    assert "No plant yet" in shown
    assert "Connect a Voke" in shown


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?q=nowhere", "No plant matches"),
        ("?view=overridden", "None right now"),
        ("?view=all&at=WzAsIloiLDk5OTk5OTk5OSw1MCwwXQ", "Nothing more on this page"),
    ],
)
def test_an_empty_list_says_why_and_where_to_go(organisation, viewer_client, query, words):
    seed.measured(seed.plant(seed.link(organisation, NOW), "Depot", 1), NOW)

    assert words in text_of(viewer_client.get(LIST + query))


def test_each_row_says_why_it_needs_a_person_and_leads_to_the_proof(organisation, viewer_client):
    fleet = seed.make_fleet(organisation, NOW)

    rows = {look.facts.id: look for look in viewer_client.get(LIST).context["rows"]}

    def said(plant):
        return [str(mark.text).replace("\u202f", " ") for mark in rows[plant.pk].marks]

    assert said(fleet.latched) == ["STOP latched"]
    assert said(fleet.unanswered) == ["No ACK"]
    assert said(fleet.far_off) == ['41<span class="u">kW</span> short']
    assert said(fleet.silent) == ["No data"]
    assert said(fleet.overridden) == ["Override 32 min"]
    assert rows[fleet.calm.pk].plan_text == "On plan"
    assert rows[fleet.unplanned.pk].plan_text == "No plan"
    unanswered = rows[fleet.unanswered.pk]
    assert unanswered.marks[0].url == reverse("console:commands:command", args=[unanswered.facts.command_id])
    assert rows[fleet.alarmed.pk].alarm.url == f"{reverse('console:alarms:list')}?plant={fleet.alarmed.pk}"


def test_directions_are_words_and_bars_show_what_is_taken_left_and_what_is_given_right(
    organisation, viewer_client
):
    on = seed.link(organisation, NOW)
    taking, giving = seed.plant(on, "Taking", 1), seed.plant(on, "Giving", 2)
    seed.measured(taking, NOW, grid_power_kw=200.0, battery_power_kw=100.0)
    seed.measured(giving, NOW, grid_power_kw=-100.0, battery_power_kw=-50.0)

    rows = {look.facts.id: look for look in viewer_client.get(LIST).context["rows"]}

    assert (vars(rows[taking.pk].grid_bar), vars(rows[taking.pk].battery_bar)) == (
        {"css": "imp", "x": "25.0", "width": "25.0"},
        {"css": "chg", "x": "25.0", "width": "25.0"},
    )
    assert (vars(rows[giving.pk].grid_bar), vars(rows[giving.pk].battery_bar)) == (
        {"css": "exp", "x": "50.0", "width": "12.5"},
        {"css": "dis", "x": "50.0", "width": "12.5"},
    )
    shown = text_of(viewer_client.get(LIST))
    assert "Importing 200 kW" in shown
    assert "Discharging 50 kW" in shown


def test_a_plant_that_never_spoke_has_no_numbers_and_no_zero(organisation, viewer_client):
    seed.plant(seed.link(organisation, NOW), "Depot", 1)

    shown = text_of(viewer_client.get(LIST))

    assert "0 plants" not in shown
    assert "Fleet to grid, now No data" in shown
    assert "nothing is known of what flows" in shown


def test_the_allowed_charge_is_that_of_the_block_of_the_plants_own_hour(organisation, viewer_client):
    from plants.models import TimeConfigOrigin
    from plants.services.time_config import Author, set_time_config

    plant = seed.plant(seed.link(organisation, NOW), "Depot", 1, time_zone="Asia/Tokyo")
    noon = 12 * 60
    set_time_config(
        plant_id=plant.pk,
        blocks=[
            factories.block(0, noon, soc_min_pct=30.0, soc_max_pct=60.0),
            factories.block(noon, 1440, soc_min_pct=40.0, soc_max_pct=70.0),
        ],
        origin=TimeConfigOrigin.PERSON,
        author=Author(name="ann"),
        at=factories.AT,
    )
    seed.measured(plant, NOW)

    (look,) = viewer_client.get(LIST).context["rows"]

    assert look.window == (40.0, 70.0)  # 03:07 UTC is past noon there
    assert look.window_text == "allowed 40 to 70 %"


def test_sources_and_sinks_that_differ_show_what_is_unexplained_and_trifles_are_not_drawn(
    organisation, viewer_client
):
    plant = seed.plant(seed.link(organisation, NOW), "Depot", 1)
    seed.measured(
        plant, NOW, grid_power_kw=-100.0, fve_power_kw=200.0, battery_power_kw=-3.0, consumption_power_kw=40.0
    )

    balance = viewer_client.get(LIST).context["balance"]

    drawn = {flow.css: flow.width for side in (balance.sources, balance.sinks) for flow in side.flows}
    assert set(drawn) == {"pv", "dis", "load", "exp", "unex"}
    assert drawn["dis"] == 0
    assert drawn["pv"] == 100
    assert sum(width for css, width in drawn.items() if css in ("load", "exp", "unex")) == pytest.approx(
        100, abs=0.1
    )


def test_a_curve_breaks_where_nothing_was_measured_and_up_is_export(organisation, viewer_client):
    on = seed.link(organisation, NOW)
    whole, broken = seed.plant(on, "Whole", 1), seed.plant(on, "Broken", 2)
    for plant, without in ((whole, ()), (broken, (5, 6))):
        seed.measured(plant, NOW)
        seed.quarters(plant, NOW, without=without)
    seed.planned([whole], NOW, kw=300)

    rows = {look.facts.id: look for look in viewer_client.get(LIST).context["rows"]}

    assert rows[whole.pk].spark.actual.count("M") == 1
    assert rows[broken.pk].spark.actual.count("M") == 2
    planned_y = float(rows[whole.pk].spark.planned.split("M")[1].split()[1].split("H")[0])
    actual_y = float(rows[whole.pk].spark.actual.split("L")[0].split()[1])
    assert planned_y < actual_y


def test_a_part_is_answered_without_the_frame_and_brings_the_tabs_along(organisation, viewer_client):
    seed.make_fleet(organisation, NOW)

    body = viewer_client.get(f"{LIST}?view=off-plan", headers=PART).content.decode()

    assert body.lstrip().startswith('<div id="fleet-list"')
    assert 'id="fleet-tabs" hx-swap-oob="true"' in body
    assert body.count('<tr role="row" id="p') == 2


def test_rows_are_answered_anew_by_id_those_of_the_organisation_only(organisation, viewer_client):
    fleet, other = seed.make_fleet(organisation, NOW), seed.make_fleet(factories.organisation(), NOW)

    body = viewer_client.get(rows_url(fleet.calm, other.calm)).content.decode()

    assert f'id="p{fleet.calm.pk}"' in body
    assert f'id="p{other.calm.pk}"' not in body
    assert viewer_client.get(f"{reverse('console:fleet:rows')}?ids=x,-1,{'9' * 30}").content.strip() == b""


def test_a_peek_tells_one_plant_and_a_foreign_one_does_not_exist(organisation, viewer_client):
    fleet, other = seed.make_fleet(organisation, NOW), seed.make_fleet(factories.organisation(), NOW)

    shown = text_of(viewer_client.get(peek_url(fleet.far_off)))

    assert "Sawmill Zdirec" in shown
    assert "Planned now Exporting 100 kW" in shown
    assert viewer_client.get(peek_url(other.calm)).status_code == 404


def test_cards_or_table_is_remembered_until_chosen_anew(organisation, viewer_client):
    seed.measured(seed.plant(seed.link(organisation, NOW), "Depot", 1), NOW)

    viewer_client.get(f"{LIST}?show=cards")

    assert viewer_client.get(LIST).context["asked"].show == "cards"
    viewer_client.get(f"{LIST}?show=table")
    assert viewer_client.get(LIST).context["asked"].show == "table"


def test_an_export_has_the_whole_list_signed_values_and_no_cell_that_is_a_formula(
    organisation, viewer_client
):
    on = seed.link(organisation, NOW)
    for number in range(60):
        seed.measured(seed.plant(on, f"=cmd|{number}", number), NOW, grid_power_kw=-12.5)

    answer = viewer_client.get(reverse("console:fleet:export"))

    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert len(rows) == 60
    assert {(row["name"][:6], row["grid_import_kw"], row["battery_charge_kw"]) for row in rows} == {
        ("'=cmd|", "-12.5", "20")
    }
    assert answer["Content-Disposition"].startswith('attachment; filename="fleet-acme-')


def test_nobody_sees_the_fleet_without_signing_in():
    assert Client().get(LIST).status_code == 302
    assert "HX-Redirect" in Client().get(TOP, headers={"HX-Request": "true"})


def test_a_connection_that_is_down_has_a_card_that_filters_its_plants(organisation, viewer_client):
    on = seed.link(organisation, NOW)
    seed.measured(seed.plant(on, "Depot", 1), NOW)
    LinkHealth.objects.update(state=LinkState.DOWN, error_code="UNREACHABLE")

    (card,) = viewer_client.get(LIST).context["cards"]

    assert card.title.startswith("Voke disturbed")
    assert card.url.endswith(f"?view=all&connection={on.pk}")


def test_many_connections_that_are_down_are_one_card_so_that_the_list_stays_in_sight(
    organisation, viewer_client
):
    for name in ("Voke North", "Voke South", "Voke West"):
        seed.measured(seed.plant(seed.link(organisation, NOW, name=name), f"Depot {name}", 1), NOW)
    LinkHealth.objects.update(state=LinkState.DOWN, error_code="UNREACHABLE")

    (card,) = viewer_client.get(LIST).context["cards"]

    assert (card.title, card.text) == ("3 connections disturbed", "Voke North, Voke South, Voke West")
    assert card.url == reverse("console:connect:list")


@pytest.mark.parametrize(("address", "most"), [("page", 22), ("list", 14), ("rows", 10), ("top", 14)])
def test_what_a_page_asks_the_database_does_not_grow_with_its_rows(
    organisation, viewer_client, address, most
):
    on = seed.link(organisation, NOW)

    def grow(count):
        made = [seed.plant(on, f"Depot {count} {number}", 100 * count + number) for number in range(count)]
        for plant in made:
            seed.measured(plant, NOW)
        seed.planned(made, NOW)
        return made

    def ask():
        plants = {"rows": rows_url(*made), "page": LIST, "list": LIST, "top": TOP}
        assert (
            viewer_client.get(plants[address], headers=PART if address == "list" else {}).status_code == 200
        )

    made = grow(2)
    few = queries_of(ask)
    made = grow(30)
    many = queries_of(ask)

    assert many == few
    assert few <= most
