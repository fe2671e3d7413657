"""Every edit of the time config is a version with who and what changed; equal sets make none."""

import pytest
from django.db import transaction

from plants.errors import Several
from plants.models import Organisation, Plant, TimeConfigBlock, TimeConfigOrigin, TimeConfigVersion, User
from plants.selectors.plants import blocks_of_version
from plants.services.time_config import Author, set_time_config
from tests import factories
from tests.factories import AT, block
from tests.threads import Aside, until_blocked

pytestmark = pytest.mark.django_db
DAY = [block()]
HALVES = [block(0, 720), block(720, 1440)]


def edit(plant, blocks, author="anna", origin=TimeConfigOrigin.PERSON, **changes):
    return set_time_config(
        plant_id=plant.pk, blocks=blocks, origin=origin, author=Author(name=author, **changes), at=AT
    )


def revision(plant):
    return Organisation.objects.get(pk=plant.organisation_id).revision


def test_the_first_set_becomes_version_one_with_who_and_what():
    plant = factories.plant()
    anna = User.objects.create(username="anna")

    version = edit(plant, DAY, user=anna)

    assert (version.number, version.origin, version.made_at) == (1, "PERSON", AT)
    assert (version.made_by, version.made_by_name) == (anna, "anna")
    assert version.changes == ["added 00:00-24:00 battery -10..10 kW, SoC 20..95 %"]
    assert blocks_of_version(version.pk) == DAY
    assert Plant.objects.get(pk=plant.pk).time_config == version


def test_an_edit_makes_the_next_version_and_leaves_the_old_one_as_it_was():
    plant = factories.plant()
    first = edit(plant, DAY)

    second = edit(plant, HALVES, author="Voke", origin=TimeConfigOrigin.VOKE)

    assert (second.number, second.made_by, second.made_by_name) == (2, None, "Voke")
    assert second.changes[0].startswith("removed 00:00-24:00")
    assert blocks_of_version(first.pk) == DAY
    assert blocks_of_version(second.pk) == HALVES


def test_a_set_equal_to_the_current_one_is_the_same_version_and_writes_nothing():
    plant = factories.plant()
    first = edit(plant, HALVES)
    before = revision(plant)

    again = edit(plant, HALVES[::-1])

    assert again == first
    assert TimeConfigVersion.objects.count() == 1
    assert TimeConfigBlock.objects.count() == 2
    assert revision(plant) == before


def test_going_back_to_an_older_set_is_a_new_version():
    plant = factories.plant()
    for blocks in (DAY, HALVES, DAY):
        edit(plant, blocks)

    assert list(TimeConfigVersion.objects.order_by("number").values_list("number", flat=True)) == [1, 2, 3]


def test_an_edit_bumps_the_revision_that_the_reverse_channel_shows():
    plant = factories.plant()
    before = revision(plant)

    edit(plant, DAY)

    assert revision(plant) == before + 1


def test_a_broken_set_is_refused_as_a_whole_and_the_current_one_stays():
    plant = factories.plant()
    first = edit(plant, DAY)

    with pytest.raises(Several) as caught:
        edit(plant, [block(0, 720, p_bat_max_kw=40.1), block(720, 1440, soc_max_pct=101.0)])

    assert [one.path for one in caught.value.problems] == ["timeConfigs[0].pBatMax", "timeConfigs[1].socMax"]
    assert Plant.objects.get(pk=plant.pk).time_config == first


def test_the_sites_limit_binds_and_without_one_the_sum_of_its_batteries():
    limited = factories.plant(max_charge_kw=5.0)
    rated = factories.plant(max_charge_kw=None, assets=[factories.battery("B1"), factories.battery("B2")])

    with pytest.raises(Several):
        edit(limited, [block(p_bat_max_kw=5.1)])
    with pytest.raises(Several):
        edit(rated, [block(p_bat_max_kw=80.1)])
    assert edit(rated, [block(p_bat_max_kw=80.0)]).number == 1


def test_a_battery_whose_rating_is_not_known_makes_the_sum_unknown():
    plant = factories.plant(
        max_charge_kw=None, assets=[factories.battery("B1"), factories.battery("B2", rated_power_kw=None)]
    )

    assert edit(plant, [block(p_bat_max_kw=1000.0)]).number == 1


def test_a_plant_that_allows_gaps_may_have_an_empty_set():
    plant = factories.plant(gaps_allowed=True)

    assert edit(plant, []).number == 1


def test_a_very_long_name_of_a_machine_is_cut():
    assert len(edit(factories.plant(), DAY, author="x" * 300).made_by_name) == 150


@pytest.mark.django_db(transaction=True)
def test_two_edits_at_once_make_two_versions_one_after_the_other():
    plant = factories.plant()

    with transaction.atomic():
        first = edit(plant, DAY)
        other = Aside(lambda: edit(plant, HALVES))
        until_blocked()

    second = other.answer()
    assert (first.number, second.number) == (1, 2)
    assert Plant.objects.get(pk=plant.pk).time_config == second
