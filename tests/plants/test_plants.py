"""Plants and assets: checked field by field, saved, and announced exactly when Voke must learn of the change."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from plants.errors import DomainError, NotFound, Several
from plants.models import Asset, Organisation, Plant, PlantState
from plants.selectors.plants import get_plant
from plants.services.connections import attach_plants
from plants.services.plants import save_assets, save_plant, set_plant_dispatch
from plants.services.succession import hand_over
from tests import factories
from tests.factories import AT

pytestmark = pytest.mark.django_db


def refused(work):
    """(path) of every problem that a refusal names."""
    with pytest.raises(DomainError) as caught:
        work()
    return [one.path for one in getattr(caught.value, "problems", [caught.value])]


def counters(plant):
    plant.refresh_from_db()
    return plant.site_revision, Organisation.objects.get(pk=plant.organisation_id).revision


# --- plants -----------------------------------------------------------------------------------------------------------


def test_a_new_plant_has_a_state_its_times_and_bumps_the_revision():
    link = factories.connection()
    before = link.organisation.revision

    plant = save_plant(plant=factories.unsaved_plant(on=link), at=AT)

    assert (plant.created_at, plant.updated_at) == (AT, AT)
    assert PlantState.objects.get(plant=plant).measured_at is None
    assert Organisation.objects.get(pk=link.organisation_id).revision == before + 1


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"external_plant_id": ""}, "external_plant_id"),
        ({"external_plant_id": "white space"}, "external_plant_id"),
        ({"external_plant_id": "x" * 65}, "external_plant_id"),
        ({"external_plant_id": "PLANT\n"}, "external_plant_id"),
        ({"name": ""}, "name"),
        ({"time_zone": "Europe/Atlantis"}, "time_zone"),
        ({"time_zone": "../etc/passwd"}, "time_zone"),
        ({"time_zone": "Europe"}, "time_zone"),
        ({"max_import_kw": -1.0}, "max_import_kw"),
        ({"soc_max_pct": 100.1}, "soc_max_pct"),
        ({"capacity_kwh": "much"}, "capacity_kwh"),
        ({"base_mode": "PARTY"}, "base_mode"),
        ({"schedule_carrier": "PIGEON"}, "schedule_carrier"),
        ({"slot_minutes": 7}, "slot_minutes"),
        ({"setpoint_valid_s": 9}, "setpoint_valid_s"),
        ({"setpoint_valid_s": 86_401}, "setpoint_valid_s"),
        ({"cancel_policy": "MAYBE"}, "cancel_policy"),
        ({"fallback_mode": "PARTY"}, "fallback_mode"),
        ({"fallback_after_s": 0}, "fallback_after_s"),
        ({"voke_uuid": "no uuid"}, "voke_uuid"),
    ],
)
def test_each_field_that_does_not_fit_is_named(changes, path):
    assert set(refused(lambda: save_plant(plant=factories.unsaved_plant(**changes), at=AT))) == {path}


def test_every_problem_is_told_at_once():
    broken = factories.unsaved_plant(name="", time_zone="nowhere", max_export_kw=-1.0)

    assert sorted(refused(lambda: save_plant(plant=broken, at=AT))) == ["max_export_kw", "name", "time_zone"]


def test_a_lowest_soc_above_the_highest_is_refused():
    assert refused(
        lambda: save_plant(plant=factories.unsaved_plant(soc_min_pct=60.0, soc_max_pct=50.0), at=AT)
    )


def test_an_external_id_is_unique_within_its_organisation_and_free_in_another():
    plant = factories.plant()
    same = {"external_plant_id": plant.external_plant_id}

    assert refused(lambda: save_plant(plant=factories.unsaved_plant(on=plant.connection, **same), at=AT))
    assert save_plant(plant=factories.unsaved_plant(**same), at=AT).pk


def test_one_uuid_of_voke_is_one_plant_of_a_connection():
    plant = factories.plant()

    assert refused(
        lambda: save_plant(
            plant=factories.unsaved_plant(on=plant.connection, voke_uuid=plant.voke_uuid), at=AT
        )
    )


def test_a_connection_of_another_organisation_is_refused():
    plant = factories.unsaved_plant(connection=factories.connection())

    assert refused(lambda: save_plant(plant=plant, at=AT)) == ["connection"]


def test_a_plant_can_be_edited_though_the_secrets_of_its_connection_can_not_be_decrypted():
    plant = factories.plant()
    factories.make_undecryptable(plant.connection)
    fresh = Plant.objects.get(pk=plant.pk)
    fresh.name = "Another name"

    assert save_plant(plant=fresh, at=AT).name == "Another name"


def test_a_plant_stays_with_its_organisation():
    plant = factories.plant()
    plant.organisation, plant.connection = factories.organisation(), None

    assert refused(lambda: save_plant(plant=plant, at=AT)) == ["organisation"]


@pytest.mark.parametrize(
    "changes",
    [
        {"max_import_kw": 99.0}, {"max_export_kw": None}, {"max_charge_kw": 1.0}, {"max_discharge_kw": 1.0},
        {"soc_min_pct": 5.0}, {"soc_max_pct": 90.0}, {"voke_uuid": None}, {"external_plant_id": "ANOTHER"},
        {"connection": None},
    ],
    ids=lambda changes: next(iter(changes)),
)  # fmt: skip
def test_what_topology_and_limits_are_built_from_bumps_the_site_revision(changes):
    plant = factories.plant()
    before = counters(plant)
    for name, value in changes.items():
        setattr(plant, name, value)

    save_plant(plant=plant, at=AT)

    assert counters(plant) == (before[0] + 1, before[1] + 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Another"}, {"esi_state": "BUSY"}, {"config_enabled": False}, {"time_zone": "UTC"},
        {"capacity_kwh": 5.0}, {},
    ],
    ids=str,
)  # fmt: skip
def test_what_only_the_reverse_channel_shows_bumps_its_revision_alone(changes):
    plant = factories.plant()
    before = counters(plant)
    for name, value in changes.items():
        setattr(plant, name, value)

    save_plant(plant=plant, at=AT)

    assert counters(plant) == (before[0], before[1] + 1)


def test_a_refused_change_bumps_nothing():
    plant = factories.plant()
    before = counters(plant)
    plant.max_import_kw = -1.0

    refused(lambda: save_plant(plant=plant, at=AT))

    assert counters(plant) == before


def test_a_stale_object_can_not_set_the_version_of_the_time_config_or_the_site_revision_back():
    plant = factories.plant()
    stale = Plant.objects.get(pk=plant.pk)
    save_assets(plant=plant, changed=[factories.battery("B2")], removed=[], at=AT)
    expected = counters(plant)[0]

    save_plant(plant=stale, at=AT)

    assert counters(plant)[0] == expected


def test_the_dispatch_switch_of_a_plant_is_set_alone():
    one, other = factories.plant(), factories.plant()

    set_plant_dispatch(plant_id=one.pk, enabled=False)

    assert not Plant.objects.get(pk=one.pk).dispatch_enabled
    assert Plant.objects.get(pk=other.pk).dispatch_enabled


def test_another_organisations_plant_is_as_unknown_as_one_that_does_not_exist():
    plant = factories.plant()

    for external_id in (plant.external_plant_id, "NOBODY"):
        with pytest.raises(NotFound):
            get_plant(organisation_id=factories.organisation().pk, external_plant_id=external_id)
    assert (
        get_plant(organisation_id=plant.organisation_id, external_plant_id=plant.external_plant_id) == plant
    )


# --- assets -----------------------------------------------------------------------------------------------------------


def assets_of(plant):
    return list(Asset.objects.filter(plant=plant).values_list("external_id", flat=True))


def change(plant, *changed, removed=()):
    save_assets(plant=plant, changed=changed, removed=removed, at=AT)


def test_assets_are_added_changed_and_removed_in_one_step():
    plant = factories.plant()
    b1, s1 = Asset.objects.filter(plant=plant)
    b1.rated_power_kw = 30.0

    change(plant, b1, factories.battery("B2"), removed=[s1])

    assert assets_of(plant) == ["B1", "B2"]
    assert Asset.objects.get(plant=plant, external_id="B1").rated_power_kw == 30.0


@pytest.mark.parametrize(
    ("asset", "path"),
    [
        (factories.battery("small"), "assets[small].external_id"),
        (factories.battery("x" * 33), f"assets[{'x' * 33}].external_id"),
        (factories.battery(""), "assets[].external_id"),
        (factories.battery("B2", asset_type="TOASTER"), "assets[B2].asset_type"),
        (factories.battery("B2", rated_power_kw=-1.0), "assets[B2].rated_power_kw"),
        (factories.battery("B1"), "assets[B1].__all__"),
    ],
    ids=["letters", "long", "empty", "type", "power", "taken"],
)
def test_each_field_of_an_asset_that_does_not_fit_is_named(asset, path):
    plant = factories.plant()
    before = counters(plant)

    assert set(refused(lambda: change(plant, asset))) == {path}
    assert counters(plant) == before
    assert assets_of(plant) == ["B1", "S1"]


def test_an_id_twice_in_one_step_is_a_problem_of_that_field():
    plant = factories.plant()

    assert refused(lambda: change(plant, factories.battery("B2"), factories.pv("B2"))) == [
        "assets[B2].external_id"
    ]


def test_the_id_of_a_removed_asset_may_be_given_to_a_new_one_in_the_same_step():
    plant = factories.plant()
    old = Asset.objects.get(plant=plant, external_id="B1")

    change(plant, factories.battery("B1", rated_power_kw=99.0), removed=[old])

    assert Asset.objects.get(plant=plant, external_id="B1").rated_power_kw == 99.0


def test_assets_of_another_plant_can_be_neither_taken_nor_removed():
    plant, other = factories.plant(), factories.plant()
    theirs = Asset.objects.get(plant=other, external_id="B1")

    taken = refused(lambda: change(plant, theirs))
    removed = refused(lambda: change(plant, removed=[theirs]))

    assert taken == removed == ["assets[B1]"]
    assert assets_of(other) == ["B1", "S1"]


@pytest.mark.parametrize(
    "changes",
    [{"rated_power_kw": 1.0}, {"capacity_kwh": None}, {"name": "Big one"}, {"asset_type": "GENERIC"}],
    ids=str,
)
def test_a_changed_topology_bumps_both_revisions(changes):
    plant = factories.plant()
    before = counters(plant)
    asset = Asset.objects.get(plant=plant, external_id="B1")
    for name, value in changes.items():
        setattr(asset, name, value)

    change(plant, asset)

    assert counters(plant) == (before[0] + 1, before[1] + 1)


def test_assets_saved_as_they_were_bump_nothing():
    plant = factories.plant()
    before = counters(plant)

    change(plant, *Asset.objects.filter(plant=plant))
    change(plant)

    assert counters(plant) == before


def test_removing_an_asset_bumps_both_revisions():
    plant = factories.plant()
    before = counters(plant)

    change(plant, removed=[Asset.objects.get(plant=plant, external_id="S1")])

    assert counters(plant) == (before[0] + 1, before[1] + 1)


def test_of_a_step_with_one_broken_asset_nothing_is_saved():
    plant = factories.plant()

    with pytest.raises(Several):
        change(
            plant,
            factories.battery("B2"),
            factories.battery("bad id"),
            removed=Asset.objects.filter(plant=plant),
        )

    assert assets_of(plant) == ["B1", "S1"]


# --- what others write meanwhile --------------------------------------------------------------------------------------


def test_saving_a_plant_does_not_undo_a_switch_that_was_turned_meanwhile():
    plant = factories.plant()
    opened = Plant.objects.get(pk=plant.pk)
    set_plant_dispatch(plant_id=plant.pk, enabled=False)
    opened.name = "Another name"

    save_plant(plant=opened, at=AT)

    plant.refresh_from_db()
    assert (plant.name, plant.dispatch_enabled) == ("Another name", False)


def test_a_form_that_was_opened_before_the_plant_moved_leaves_it_where_it_is():
    plant = factories.plant()
    opened = Plant.objects.get(pk=plant.pk)
    elsewhere = factories.connection(owner=plant.organisation)
    attach_plants(connection=elsewhere, external_plant_ids=[plant.external_plant_id])
    opened.name = "Another name"

    saved = save_plant(plant=opened, at=AT, changed=["name"])

    plant.refresh_from_db()
    assert (plant.name, plant.connection, saved.connection_id) == ("Another name", elsewhere, elsewhere.pk)


def test_a_plant_does_not_go_back_to_a_connection_that_was_taken_over():
    plant = factories.plant()
    successor = factories.connection(owner=plant.organisation)
    hand_over(old_id=plant.connection_id, new_id=successor.pk, at=AT)

    assert refused(lambda: save_plant(plant=plant, at=AT)) == ["connection"]


def test_of_a_stored_plant_only_what_differs_is_written():
    plant = factories.plant()
    plant.name = "Another name"

    with CaptureQueriesContext(connection) as queries:
        save_plant(plant=plant, at=AT + timedelta(seconds=1))

    written = next(one["sql"] for one in queries if one["sql"].startswith('UPDATE "plants_plant"'))
    assert '"name"' in written
    assert '"dispatch_enabled"' not in written
    assert '"connection_id"' not in written
