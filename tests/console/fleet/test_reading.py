"""What the fleet's list knows of every plant, and in which order it says so."""

from datetime import timedelta

import pytest
from django.urls import reverse

from console.fleet.asked import ListAsked, Place, Sort, View, asked_of, place_of
from console.fleet.facts_sql import Attention, FleetAsked
from console.fleet.reading import (
    MOST_NAMED,
    PAGE,
    exported,
    listed,
    listed_with_urgent,
    matching_ids,
    overview,
    plants_by_id,
)
from dispatch.states import State
from dispatch.verification import ProofRules
from plants.models import AlarmCase, Plant, User
from plants.selectors.overview import count_open_alarms, with_open_alarms
from plants.services.alarm_care import close
from plants.services.alarms import clear_platform_alarm, raise_platform_alarm
from tests import factories
from tests.console import seed_fleet as seed
from tests.console.seed_fleet import NOW as AT
from tests.queries import queries_of

pytestmark = pytest.mark.django_db


def asked(organisation, **changes):
    return FleetAsked(
        **({"organisation_id": organisation.pk, "at": AT, "proof": ProofRules(), "tolerated_s": {}} | changes)
    )


def page_of(about, wanted):
    return listed(about, wanted)[1]


def names(page):
    return [row.name for row in page.rows]


def only(organisation, **changes):
    """The one plant of the organisation."""
    (row,) = page_of(asked(organisation), ListAsked(view=View.ALL)).rows
    return row


def test_a_list_begins_with_what_needs_a_person_most(organisation):
    fleet = seed.make_fleet(organisation, AT)

    rows = page_of(asked(organisation), ListAsked()).rows

    assert [row.attention for row in rows] == [
        Attention.LATCHED,
        Attention.UNANSWERED,
        Attention.FAR_OFF_PLAN,
        Attention.NO_DATA,
        Attention.OVERRIDDEN,
        Attention.OFF_PLAN,
        Attention.WARNING,
        Attention.NOTHING,
        Attention.NOTHING,
    ]
    assert [row.id for row in rows[:3]] == [fleet.latched.pk, fleet.unanswered.pk, fleet.far_off.pk]


@pytest.mark.parametrize(
    ("view", "kept"),
    [
        (View.OFF_PLAN, ["Sawmill Zdirec", "Dairy Klatovy"]),
        (View.OVERRIDDEN, ["Brewery Prerov"]),
        (View.ALARMS, ["Greenhouse Nemcice"]),
        (View.NO_DATA, ["Hospital Tabor"]),
        (View.UNANSWERED, ["Cold store Olomouc"]),
        (View.LATCHED, ["Quarry Kamenec"]),
    ],
)
def test_a_view_keeps_what_it_names_and_its_count_is_as_many(organisation, view, kept):
    seed.make_fleet(organisation, AT)

    assert names(page_of(asked(organisation), ListAsked(view=view))) == kept
    assert overview(asked(organisation)).counts[view] == len(kept)


def test_an_alarm_whose_case_a_person_has_closed_is_no_open_one_wherever_it_is_counted(
    organisation, operator_client
):
    plant = seed.plant(seed.link(organisation, AT), "Depot", 1)
    user = User.objects.get(pk=operator_client.session["_auth_user_id"])
    raised = {"connection_id": None, "plant_id": plant.pk, "alarm_id": "a", "code": "DRIFT", "message": ""}
    counts = []

    def count():
        (listed,) = page_of(asked(organisation), ListAsked(view=View.ALL)).rows
        annotated = with_open_alarms(Plant.objects.all()).get().open_alarms
        head = operator_client.get(reverse("console:plant:page", args=[plant.pk])).context["head"]
        counts.append({listed.open_alarms, annotated, head.open_alarms, count_open_alarms()})

    raise_platform_alarm(**raised, severity="ERROR", at=AT)
    count()
    close(case_id=AlarmCase.objects.get().pk, why="the crane is in the way", by=user, at=AT)
    count()
    clear_platform_alarm(connection_id=None, alarm_id="a", at=AT)
    raise_platform_alarm(**raised, severity="ERROR", at=AT + timedelta(minutes=1))
    count()

    assert counts == [{1}, {0}, {1}]


def test_totals_speak_of_live_plants_alone_and_say_how_many_are_missing(organisation):
    on = seed.link(organisation, AT)
    one, two, three = (seed.plant(on, f"Depot {n}", n) for n in range(3))
    seed.measured(one, AT, grid_power_kw=-100, fve_power_kw=150, battery_power_kw=20, consumption_power_kw=30)
    seed.measured(two, AT, grid_power_kw=60, fve_power_kw=0, battery_power_kw=-10, consumption_power_kw=70)
    seed.measured(three, AT, age_s=600, grid_power_kw=900)

    found = overview(asked(organisation))

    assert (found.plants, found.live, found.missing) == (3, 2, 1)
    assert (found.import_kw, found.export_kw, found.net_kw) == (60, 100, -40)
    assert (found.pv_kw, found.charge_kw, found.discharge_kw, found.load_kw) == (150, 20, 10, 100)


def test_the_plan_is_compared_with_those_plants_that_have_one(organisation):
    on = seed.link(organisation, AT)
    one, two = seed.plant(on, "Depot 1", 1), seed.plant(on, "Depot 2", 2)
    seed.measured(one, AT, grid_power_kw=-90)
    seed.measured(two, AT, grid_power_kw=-500)
    seed.planned([one], AT, kw=100)

    found = overview(asked(organisation))

    assert (found.planned, found.planned_kw, found.followed_kw) == (1, -100, -90)


@pytest.mark.parametrize(
    ("grid_kw", "direction", "over_kw", "off_plan"),
    [
        (-100.0, "EXPORT", 0.0, 0),
        (-91.0, "EXPORT", -9.0, 0),
        (-88.0, "EXPORT", -12.0, 1),
        (-59.0, "EXPORT", -41.0, 2),
        (-120.0, "EXPORT", 20.0, 1),
        (30.0, "EXPORT", -130.0, 2),
        (100.0, "IMPORT", 0.0, 0),
        (140.0, "IMPORT", 40.0, 2),
    ],
)
def test_a_plant_is_short_of_its_plan_or_over_it_in_the_direction_of_the_plan(
    organisation, grid_kw, direction, over_kw, off_plan
):
    plant = seed.plant(seed.link(organisation, AT), "Depot", 1)
    seed.measured(plant, AT, grid_power_kw=grid_kw)
    seed.planned([plant], AT, kw=100, direction=direction)

    row = only(organisation)

    assert (row.over_kw, row.off_plan) == (pytest.approx(over_kw), off_plan)


def test_an_energy_slot_is_its_mean_power_and_one_without_consumption_is_held_against_the_plants_own(
    organisation,
):
    on = seed.link(organisation, AT)
    energy, own = seed.plant(on, "Energy", 1), seed.plant(on, "Own", 2)
    for plant in (energy, own):
        seed.measured(plant, AT, grid_power_kw=-100, battery_power_kw=-20, fve_power_kw=150)
    seed.planned([energy], AT, type="ENERGY", value=25.0)
    seed.planned([own], AT, kw=170, include_consumption=False)

    rows = page_of(asked(organisation), ListAsked(view=View.ALL)).rows

    assert [(row.name, round(row.planned_kw, 3), row.followed_kw, row.off_plan) for row in rows] == [
        ("Energy", -100.0, -100.0, 0),
        ("Own", -170.0, -170.0, 0),
    ]


@pytest.mark.parametrize("why", ["override", "latch", "stale", "settling"])
def test_a_plant_that_something_else_moves_is_not_judged_by_its_plan(organisation, why):
    plant = seed.plant(seed.link(organisation, AT), "Depot", 1)
    seed.measured(plant, AT, grid_power_kw=0.0, age_s=600 if why == "stale" else 1)
    seed.planned([plant], AT)
    if why == "override":
        seed.override(plant, AT)
    if why == "latch":
        seed.latch(plant, AT)

    at = factories.AT + timedelta(seconds=20) if why == "settling" else AT
    (row,) = page_of(asked(organisation, at=at), ListAsked(view=View.ALL)).rows

    assert (row.over_kw, row.off_plan) == (None, 0)


def test_a_sample_of_quality_missing_and_one_older_than_its_stream_tolerates_are_no_data(organisation):
    often, seldom = seed.link(organisation, AT), seed.link(organisation, AT, name="Seldom")
    missing = seed.plant(often, "Missing", 1)
    old = seed.plant(often, "Old", 2)
    slow = seed.plant(seldom, "Slow", 3)
    seed.measured(missing, AT, data_quality="MISSING")
    seed.measured(old, AT, age_s=61)
    seed.measured(slow, AT, age_s=61)

    rows = page_of(asked(organisation, tolerated_s={seldom.pk: 185.0}), ListAsked(view=View.ALL)).rows

    assert [(row.name, row.live) for row in rows] == [("Missing", False), ("Old", False), ("Slow", True)]


def test_a_silence_is_over_when_a_later_command_was_answered_or_it_is_a_day_old(organisation):
    on = seed.link(organisation, AT)
    answered, still, old = (
        seed.plant(on, name, 1 + n) for n, name in enumerate(("Answered", "Still", "Yesterday"))
    )
    for plant in (answered, still, old):
        seed.measured(plant, AT)
    seed.unanswered(answered, AT)
    seed.command(answered, AT, state=State.ACCEPTED, age=timedelta(minutes=1))
    seed.unanswered(still, AT)
    seed.command(still, AT, state=State.CANCELLED, age=timedelta(minutes=1))
    seed.unanswered(old, AT, age=timedelta(hours=25))

    rows = page_of(asked(organisation), ListAsked(view=View.UNANSWERED)).rows

    assert [(row.name, row.is_unanswered) for row in rows] == [("Still", True)]


def test_a_refusal_of_the_last_hour_counts_and_is_told_apart_from_silence(organisation):
    on = seed.link(organisation, AT)
    now, before = seed.plant(on, "Now", 1), seed.plant(on, "Before", 2)
    for plant, age in ((now, 10), (before, 70)):
        seed.measured(plant, AT)
        seed.command(plant, AT, state=State.REJECTED, age=timedelta(minutes=age))

    rows = page_of(asked(organisation), ListAsked(view=View.UNANSWERED)).rows

    assert [(row.name, row.command_state, row.attention) for row in rows] == [
        ("Now", "REJECTED", Attention.REFUSED)
    ]
    assert overview(asked(organisation)).silent_commands == 0


def test_another_organisations_plants_are_neither_listed_nor_summed_up(organisation):
    other = factories.organisation()
    fleet = seed.make_fleet(other, AT)

    assert page_of(asked(organisation), ListAsked()).rows == []
    assert overview(asked(organisation)).plants == 0
    assert plants_by_id(asked(organisation), [fleet.calm.pk]) == []
    assert matching_ids(asked(organisation), ListAsked()) == []


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("dairy", ["Dairy Klatovy"]),
        ("TABOR", ["Hospital Tabor"]),
        ("100%", []),
        ("_", []),
        ("-02", ["Hospital Tabor"]),
    ],
)
def test_a_search_finds_parts_of_names_and_ids_and_takes_no_sign_for_a_pattern(organisation, text, kept):
    seed.make_fleet(organisation, AT)

    assert names(page_of(asked(organisation), ListAsked(view=View.ALL, search=text))) == kept


def test_filters_by_connection_and_mode_narrow_the_list_and_its_counts(organisation):
    first, second = seed.link(organisation, AT), seed.link(organisation, AT, name="Second")
    for number, (on, mode) in enumerate(((first, "STANDARD"), (second, "STANDARD"), (second, "ZERO_EXPORT"))):
        seed.measured(seed.plant(on, f"Depot {number}", number), AT, mode=mode)

    wanted = ListAsked(view=View.ALL, connection_id=second.pk, mode="STANDARD")

    assert names(page_of(asked(organisation), wanted)) == ["Depot 1"]
    assert listed(asked(organisation), wanted)[0].plants == 1


@pytest.mark.parametrize("sort", list(Sort))
def test_pages_follow_each_other_without_losing_or_repeating_a_plant_and_lead_back(organisation, sort):
    on = seed.link(organisation, AT)
    for number in range(2 * PAGE + 7):
        plant = seed.plant(on, f"Depot {number % 40:02d}", number)
        if number % 3:
            seed.measured(plant, AT, grid_power_kw=-float(number))
    wanted = ListAsked(view=View.ALL, sort=sort)

    pages = [page_of(asked(organisation), wanted)]
    while pages[-1].after is not None:
        pages.append(page_of(asked(organisation), wanted.having(place=place_of(pages[-1].after.text()))))
    back = page_of(asked(organisation), wanted.having(place=place_of(pages[2].before.text())))

    ids = [row.id for page in pages for row in page.rows]
    assert [(page.first, page.last) for page in pages] == [(1, 50), (51, 100), (101, 107)]
    assert len(ids) == len(set(ids)) == 107
    assert [row.id for row in back.rows] == [row.id for row in pages[1].rows]
    assert (back.first, back.last) == (51, 100)
    assert pages[0].before is None
    assert back.before is not None
    assert page_of(asked(organisation), wanted.having(place=back.before)).before is None


def test_each_question_is_one_statement_however_many_plants_there_are(organisation):
    on = seed.link(organisation, AT)
    for number in range(30):
        seed.measured(seed.plant(on, f"Depot {number}", number), AT)
    about = asked(organisation)

    for work in (
        lambda: overview(about),
        lambda: page_of(about, ListAsked()),
        lambda: listed_with_urgent(about, ListAsked(view=View.ALL)),
        lambda: matching_ids(about, ListAsked()),
        lambda: exported(about, ListAsked()),
    ):
        assert queries_of(work) == 1


@pytest.mark.parametrize("sort", list(Sort))
def test_whom_the_cards_name_is_the_same_in_whatever_order_the_list_is_and_on_each_page(organisation, sort):
    on = seed.link(organisation, AT)
    for number in range(60):
        plant = seed.plant(on, f"Depot {number:02}", number)
        if number % 7:
            seed.measured(plant, AT)
    about = asked(organisation)
    most = [row for row in page_of(about, ListAsked()).rows if row.needs_person][:MOST_NAMED]
    first = ListAsked(view=View.ALL, sort=sort)
    second = first.having(place=page_of(about, first).after)
    wanted = [first, second, first.having(place=page_of(about, second).before)]

    for one in wanted:
        found, page, urgent = listed_with_urgent(about, one)
        assert (found, page) == listed(about, one)
        assert [row.id for row in urgent] == [row.id for row in most]


def test_what_an_address_says_is_read_back_as_it_was_asked():
    from django.http import QueryDict

    wanted = ListAsked(
        view=View.ALARMS, sort=Sort.POWER, search="Ždírec & co", connection_id=7, mode="STANDARD",
        place=Place(key=-3.25, name="Ždírec", plant_id=12, number=50),
    )  # fmt: skip

    assert asked_of(QueryDict(wanted.query()[1:])) == wanted


@pytest.mark.parametrize(
    "query",
    ["view=x&sort=y&mode=z", "connection=abc", "connection=-1", f"connection={'9' * 40}", "at=%00", "at=AAAA",
     "at=W10", "at=" + "A" * 700, "q=%00", "at=WzFlNDAwLCJhIiwxLDAsMF0"],
)  # fmt: skip
def test_an_address_that_makes_no_sense_shows_the_usual_list(query):
    from django.http import QueryDict

    assert asked_of(QueryDict(query)) == ListAsked()
