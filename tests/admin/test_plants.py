"""Plants in the admin: entered with assets and blocks, refused at the field, versions kept, states told in words."""

from datetime import timedelta

import pytest

from plants.models import Asset, Organisation, Plant, PlantState, TimeConfigOrigin, TimeConfigVersion
from plants.services.time_config import Author, set_time_config
from plants.time_config import Block
from tests import factories
from tests.admin.pages import form_data, page, text_of
from tests.factories import AT

pytestmark = pytest.mark.django_db


def block(start=0, end=1440, low=-10.0, high=10.0, soc_min=20.0, soc_max=95.0) -> Block:
    return Block(
        start_minute=start,
        end_minute=end,
        p_bat_min_kw=low,
        p_bat_max_kw=high,
        soc_min_pct=soc_min,
        soc_max_pct=soc_max,
    )


def set_blocks(plant: Plant, blocks: list[Block], by: str) -> None:
    origin = TimeConfigOrigin.VOKE if by == "Voke" else TimeConfigOrigin.IMPORT
    set_time_config(plant_id=plant.pk, blocks=blocks, origin=origin, author=Author(name=by), at=AT)


def new_plant(organisation: Organisation, **changes):
    data = {
        "organisation": organisation.pk,
        "connection": "",
        "name": "Brewery Přerov",
        "external_plant_id": "PREROV-02",
        "time_zone": "Europe/Prague",
        "esi_state": "READY",
        "capacity_kwh": "200",
        "max_charge_kw": "120",
        "max_discharge_kw": "120",
        "base_mode": "STANDARD",
        "schedule_carrier": "DISPATCHER",
        "slot_minutes": "15",
        "setpoint_valid_s": "900",
        "cancel_policy": "BASE_MODE",
        "fallback_mode": "STANDARD",
        "fallback_after_s": "900",
        "update_policy": "REVIEW",
        "plant_with_load": "on",
        "config_enabled": "on",
        "assets-TOTAL_FORMS": "1",
        "assets-INITIAL_FORMS": "0",
        "assets-0-external_id": "B1",
        "assets-0-asset_type": "BESS",
        "assets-0-rated_power_kw": "120",
        "assets-0-capacity_kwh": "200",
        "time_config_blocks-TOTAL_FORMS": "2",
        "time_config_blocks-INITIAL_FORMS": "0",
    }
    rows = (("00:00", "06:00", "-10", "60", "20", "95"), ("06:00", "24:00", "-120", "120", "10", "95"))
    names = ("start", "end", "p_bat_min_kw", "p_bat_max_kw", "soc_min_pct", "soc_max_pct")
    for index, row in enumerate(rows):
        data |= {f"time_config_blocks-{index}-{name}": value for name, value in zip(names, row, strict=True)}
    return data | changes


def test_a_plant_with_assets_and_blocks_is_added_in_one_form(jana, admin_user):
    organisation = factories.organisation()

    response = jana.post(page("plants_plant_add"), new_plant(organisation))

    plant = Plant.objects.get(external_plant_id="PREROV-02")
    version = TimeConfigVersion.objects.get(plant=plant)
    assert response.status_code == 302
    assert [asset.external_id for asset in plant.assets.all()] == ["B1"]
    assert [(row.start_minute, row.end_minute) for row in version.blocks.all()] == [(0, 360), (360, 1440)]
    assert (version.number, version.made_by, version.made_at) == (1, admin_user, AT)
    assert PlantState.objects.filter(plant=plant).exists()


def test_how_a_plant_is_scheduled_is_set_on_its_form(jana):
    changes = {
        "schedule_carrier": "VOKE",
        "slot_minutes": "30",
        "cancel_policy": "EXPIRE",
        "fallback_after_s": "60",
    }

    jana.post(page("plants_plant_add"), new_plant(factories.organisation(), **changes))

    plant = Plant.objects.get(external_plant_id="PREROV-02")
    assert (plant.schedule_carrier, plant.slot_minutes) == ("VOKE", 30)
    assert (plant.cancel_policy, plant.fallback_after_s) == ("EXPIRE", 60)


def test_what_a_service_refuses_is_said_at_the_blocks_row_and_nothing_is_stored(jana):
    organisation = factories.organisation()

    response = jana.post(
        page("plants_plant_add"), new_plant(organisation, **{"time_config_blocks-1-p_bat_max_kw": "121"})
    )

    assert response.status_code == 200
    assert "the battery charges with at most 120 kW" in text_of(response)
    blocks = next(
        one.formset
        for one in response.context["inline_admin_formsets"]
        if one.formset.prefix == "time_config_blocks"
    )
    assert blocks.forms[1].errors == {"p_bat_max_kw": ["the battery charges with at most 120 kW"]}
    assert not Plant.objects.exists()
    assert not Asset.objects.exists()


def test_a_gap_between_blocks_is_said_above_them(jana):
    data = new_plant(factories.organisation(), **{"time_config_blocks-1-end": "23:00"})

    response = jana.post(page("plants_plant_add"), data)

    assert "nothing covers 23:00 to 24:00" in text_of(response)
    assert not Plant.objects.exists()


@pytest.mark.parametrize("typed", ["6", "24:01", "25:00", "06:60", "six", "-1:00"])
def test_a_time_that_is_no_time_of_day_is_refused(jana, typed):
    data = new_plant(factories.organisation(), **{"time_config_blocks-0-end": typed})

    response = jana.post(page("plants_plant_add"), data)

    assert "Write a time as HH:MM" in text_of(response)


def test_an_external_id_that_another_plant_of_the_organisation_has_is_refused(jana):
    taken = factories.plant()

    response = jana.post(
        page("plants_plant_add"), new_plant(taken.organisation, external_plant_id=taken.external_plant_id)
    )

    assert response.status_code == 200
    assert "already exists" in text_of(response)
    assert Plant.objects.count() == 1


def test_a_connection_of_another_organisation_is_refused_at_its_field(jana):
    foreign = factories.connection()

    response = jana.post(page("plants_plant_add"), new_plant(factories.organisation(), connection=foreign.pk))

    assert response.context["adminform"].form.errors == {"connection": ["Belongs to another organisation"]}


def test_a_changed_block_makes_a_new_version_that_says_who_and_what(jana):
    plant = factories.plant()
    set_blocks(plant, [block()], by="import")
    url = page("plants_plant_change", plant.pk)
    before = jana.get(url)

    jana.post(url, form_data(before, **{"time_config_blocks-0-soc_min_pct": "15"}))

    newest = TimeConfigVersion.objects.filter(plant=plant).latest("number")
    assert (newest.number, newest.made_by_name, newest.origin) == (2, "jana", TimeConfigOrigin.PERSON)
    shown = text_of(jana.get(url))
    assert "changed 00:00-24:00 battery -10..10 kW, SoC 20..95 % to battery" not in shown
    assert (
        "changed 00:00-24:00 battery -10..10 kW, SoC 20..95 % to 00:00-24:00 battery -10..10 kW, SoC 15..95 %"
        in shown
    )
    assert "v2 in force" in shown


def test_saving_without_a_change_of_blocks_keeps_the_version(jana):
    plant = factories.plant()
    set_blocks(plant, [block()], by="import")
    url = page("plants_plant_change", plant.pk)

    jana.post(url, form_data(jana.get(url), name="Renamed"))

    plant.refresh_from_db()
    assert plant.name == "Renamed"
    assert TimeConfigVersion.objects.filter(plant=plant).count() == 1


def test_a_removed_block_is_gone_in_the_new_version_only(jana):
    plant = factories.plant()
    halves = [block(end=720), block(start=720)]
    set_blocks(plant, halves, by="import")
    url = page("plants_plant_change", plant.pk)

    data = form_data(
        jana.get(url), **{"time_config_blocks-0-end": "24:00", "time_config_blocks-1-DELETE": "on"}
    )
    jana.post(url, data)

    counts = {
        version.number: version.blocks.count() for version in TimeConfigVersion.objects.filter(plant=plant)
    }
    assert counts == {1: 2, 2: 1}


def test_blocks_that_somebody_else_changed_meanwhile_are_not_overwritten(jana):
    plant = factories.plant()
    set_blocks(plant, [block()], by="import")
    url = page("plants_plant_change", plant.pk)
    opened = form_data(jana.get(url), **{"time_config_blocks-0-soc_min_pct": "15"})
    set_blocks(plant, [block(soc_min=30.0)], by="Voke")

    response = jana.post(url, opened)

    assert response.status_code == 200
    assert "changed by somebody else while this page was open" in text_of(response)
    assert TimeConfigVersion.objects.filter(plant=plant).latest("number").blocks.get().soc_min_pct == 30.0


def test_saving_other_fields_does_not_touch_blocks_that_changed_meanwhile(jana):
    plant = factories.plant()
    url = page("plants_plant_change", plant.pk)
    opened = form_data(jana.get(url), name="Renamed")
    set_blocks(plant, [block()], by="Voke")

    response = jana.post(url, opened)

    plant.refresh_from_db()
    assert response.status_code == 302
    assert (plant.name, plant.time_config.number) == ("Renamed", 1)


def test_changed_assets_are_published_again_and_the_reverse_channel_is_told(jana):
    plant = factories.plant()
    before = (plant.site_revision, plant.organisation.revision)
    url = page("plants_plant_change", plant.pk)

    jana.post(url, form_data(jana.get(url), **{"assets-0-rated_power_kw": "35"}))

    plant.refresh_from_db()
    plant.organisation.refresh_from_db()
    assert Asset.objects.get(plant=plant, external_id="B1").rated_power_kw == 35.0
    assert plant.site_revision > before[0]
    assert plant.organisation.revision > before[1]


def test_a_plant_stays_with_its_organisation(jana):
    plant, other = factories.plant(), factories.organisation()
    url = page("plants_plant_change", plant.pk)

    jana.post(url, form_data(jana.get(url), organisation=other.pk))

    owner = plant.organisation_id
    plant.refresh_from_db()
    assert plant.organisation_id == owner


def test_the_dispatch_switch_asks_first_and_is_written_by_its_own_page(jana):
    plant = factories.plant()
    url = page("plants_plant_switch_dispatch", plant.pk)
    asked = jana.get(url)

    jana.post(url, {"enabled": "off"})

    plant.refresh_from_db()
    assert "no command, no emergency, no site config" in text_of(asked)
    assert plant.dispatch_enabled is False


def test_the_list_says_power_soc_and_freshness_in_words(jana):
    live, old, never = (factories.plant(name=name) for name in ("Live", "Old", "Never"))
    for plant, age in ((live, 3), (old, 840)):
        PlantState.objects.filter(plant=plant).update(
            measured_at=AT - timedelta(seconds=age), grid_power_kw=-275.0, soc_pct=64.0, data_quality="GOOD"
        )

    shown = text_of(jana.get(page("plants_plant_changelist")))

    assert "Exporting 275 kW, SoC 64 % live, 3 s" in shown
    assert "no data for 14 min" in shown
    assert never.name in shown
    assert shown.count("Exporting") == 1
    assert "-275" not in shown


@pytest.mark.parametrize(
    ("query", "found"),
    [("data=live", {"Live"}), ("data=silent", {"Old"}), ("data=never", {"Never"}), ("q=PLANT-OLD", {"Old"})],
)
def test_the_list_is_filtered_by_what_people_ask(jana, query, found):
    for name, age in (("Live", 3), ("Old", 840), ("Never", None)):
        plant = factories.plant(name=name, external_plant_id=f"PLANT-{name.upper()}")
        if age is not None:
            PlantState.objects.filter(plant=plant).update(measured_at=AT - timedelta(seconds=age))

    response = jana.get(page("plants_plant_changelist") + f"?{query}")

    assert {plant.name for plant in response.context["cl"].result_list} == found


def test_the_last_known_state_is_never_shown_as_the_present(jana):
    plant = factories.plant()
    PlantState.objects.filter(plant=plant).update(
        measured_at=AT - timedelta(minutes=14), grid_power_kw=43.0, battery_power_kw=-60.0, data_quality="GOOD",
        mode="PEAK_SHAVING", mode_since=AT - timedelta(hours=2), mode_override_until=AT + timedelta(minutes=33),
    )  # fmt: skip

    shown = text_of(jana.get(page("plants_plant_change", plant.pk)))

    assert "Last known state no data for 14 min" in shown
    assert "Importing 43 kW" in shown
    assert "Discharging 60 kW" in shown
    assert "Peak shaving since 2 h ago, until Fri 2 Jan 04:33:00" in shown


def test_times_are_the_plants_own_and_carry_utc_in_their_title(jana):
    plant = factories.plant(time_zone="America/New_York")

    shown = jana.get(page("plants_plant_change", plant.pk)).content.decode()

    assert 'title="2026-01-02 03:00:00.000 UTC, shown in America/New_York">Thu 1 Jan 22:00:00</time>' in shown


def test_without_the_right_to_change_the_page_is_only_read(staff):
    plant = factories.plant()
    client = staff("plants.view_plant")

    seen = client.get(page("plants_plant_change", plant.pk))
    written = client.post(page("plants_plant_change", plant.pk), {"name": "Mine"})

    plant.refresh_from_db()
    assert seen.status_code == 200
    assert written.status_code == 403
    assert plant.name != "Mine"
    assert client.get(page("plants_plant_switch_dispatch", plant.pk)).status_code == 403


def test_plants_are_not_deleted(jana):
    plant = factories.plant()

    assert jana.post(page("plants_plant_delete", plant.pk), {"post": "yes"}).status_code == 403
    assert Plant.objects.filter(pk=plant.pk).exists()
