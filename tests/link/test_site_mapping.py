"""Voke's list of sites gives plants their UUIDs: once, never over another one, and what is unclear is told."""

import io
import json
import uuid

import pytest
from django.core.management import CommandError, call_command

from link.rest import Site, Sites
from link.site_mapping import SiteOutcome, map_sites
from plants.errors import Conflict
from plants.models import Plant
from plants.services import site_ids
from tests import factories
from tests.factories import AT
from tests.link.far_rest import document, far_rest, listing
from tests.queries import queries_of
from tests.threads import together

pytestmark = pytest.mark.django_db
U1, U2, U3 = (str(uuid.UUID(int=2**100 + n)) for n in range(3))


def site(site_id, external="", name="Site"):
    return Site(site_id=site_id, external_plant_id=external, name=name)


def sites(*listed, complete=True):
    return Sites(sites=list(listed), total=len(listed), complete=complete)


def plant(link, external, known=None):
    return factories.plant(on=link, external_plant_id=external, voke_uuid=known)


def outcomes(link, *listed, complete=True, **options):
    results = map_sites(connection=link, sites=sites(*listed, complete=complete), at=AT, **options)
    return [(one.outcome, one.external_plant_id) for one in results]


def uuids():
    return {
        external: str(known) if known else None
        for external, known in Plant.objects.values_list("external_plant_id", "voke_uuid")
    }


@pytest.fixture
def link():
    return factories.connection()


def test_each_site_and_each_plant_has_a_result(link):
    plant(link, "NEW")
    plant(link, "OLD", U2)
    plant(link, "OURS-ALONE")

    found = outcomes(link, site(U1.upper(), "NEW"), site(U2, "OLD"), site(U3, "THEIRS-ALONE"))

    assert found == [
        (SiteOutcome.MAPPED, "NEW"),
        (SiteOutcome.KNOWN, "OLD"),
        (SiteOutcome.UNKNOWN_HERE, "THEIRS-ALONE"),
        (SiteOutcome.UNKNOWN_THERE, "OURS-ALONE"),
    ]
    assert uuids() == {"NEW": U1, "OLD": U2, "OURS-ALONE": None}


def test_a_mapped_plants_site_config_is_told_again_under_the_new_id(link):
    before = plant(link, "A").site_revision
    revision = link.organisation.revision

    outcomes(link, site(U1, "A"))

    after = Plant.objects.select_related("organisation").get()
    assert (after.site_revision, after.updated_at) == (before + 1, AT)
    assert after.organisation.revision > revision


def test_a_second_time_everything_is_known_and_nothing_is_written(link):
    plant(link, "A")
    outcomes(link, site(U1, "A"))
    revision = Plant.objects.get().site_revision

    assert outcomes(link, site(U1, "A")) == [(SiteOutcome.KNOWN, "A")]
    assert Plant.objects.get().site_revision == revision


def test_a_uuid_that_is_known_is_not_overwritten_but_by_order(link):
    plant(link, "A", U1)
    silently = outcomes(link, site(U2, "A")), uuids()
    ordered = outcomes(link, site(U2, "A"), replace_ids=["A"]), uuids()

    assert silently == ([(SiteOutcome.DIFFERS, "A")], {"A": U1})
    assert ordered == ([(SiteOutcome.MAPPED, "A")], {"A": U2})


def test_two_uuids_that_were_swapped_are_put_right_by_order(link):
    plant(link, "A", U2)
    plant(link, "B", U1)
    listed = (site(U1, "A"), site(U2, "B"))
    silently = outcomes(link, *listed), uuids()
    outcomes(link, *listed, replace_ids=["A", "B"])

    assert silently == ([(SiteOutcome.AMBIGUOUS, "A"), (SiteOutcome.AMBIGUOUS, "B")], {"A": U2, "B": U1})
    assert uuids() == {"A": U1, "B": U2}


@pytest.mark.parametrize(
    "listed",
    [
        [site(U1, "A"), site(U2, "A")],
        [site(U1, "A"), site(U1.upper(), "B")],
        [site("A", "A")],
    ],
    ids=["two sites of one plant", "one site of two plants", "no UUID"],
)
def test_what_could_mean_two_things_is_left_to_a_person(link, listed):
    plant(link, "A")
    plant(link, "B")

    found = outcomes(link, *listed, complete=False)

    assert {outcome for outcome, _ in found} == {SiteOutcome.AMBIGUOUS}
    assert uuids() == {"A": None, "B": None}


def test_a_site_that_voke_calls_by_another_name_is_known_by_its_uuid(link):
    plant(link, "A", U1)

    [result] = map_sites(connection=link, sites=sites(site(U1, "DEPOT-7")), at=AT)

    assert (result.outcome, result.note) == (SiteOutcome.KNOWN, "Voke calls it DEPOT-7, it is A here")


def test_plants_are_not_missed_in_a_list_that_was_not_read_to_its_end(link):
    plant(link, "A")

    assert outcomes(link, complete=False) == []


def test_another_connections_plant_is_not_mapped(link):
    plant(factories.connection(owner=link.organisation), "A")

    assert outcomes(link, site(U1, "A")) == [(SiteOutcome.UNKNOWN_HERE, "A")]
    assert uuids() == {"A": None}


def test_a_dry_run_tells_the_same_and_writes_nothing(link):
    plant(link, "A")

    assert outcomes(link, site(U1, "A"), dry_run=True) == [(SiteOutcome.MAPPED, "A")]
    assert uuids() == {"A": None}


def test_a_uuid_that_another_plant_took_meanwhile_maps_nobody(link, monkeypatch):
    first = plant(link, "A")
    plant(link, "B")
    lock = site_ids.lock_plants

    def taken_meanwhile(**options):
        lock(**options)
        Plant.objects.filter(pk=first.pk).update(voke_uuid=U2)

    monkeypatch.setattr(site_ids, "lock_plants", taken_meanwhile)

    with pytest.raises(Conflict) as caught:
        outcomes(link, site(U2, "B"))

    assert (caught.value.code, uuids()["B"]) == ("VOKE_UUID_TAKEN", None)


def test_a_plant_that_was_given_a_uuid_meanwhile_keeps_it(link, monkeypatch):
    first = plant(link, "A")
    lock = site_ids.lock_plants

    def given_meanwhile(**options):
        lock(**options)
        Plant.objects.filter(pk=first.pk).update(voke_uuid=U3)

    monkeypatch.setattr(site_ids, "lock_plants", given_meanwhile)

    assert outcomes(link, site(U1, "A")) == [(SiteOutcome.DIFFERS, "A")]
    assert uuids() == {"A": U3}


@pytest.mark.django_db(transaction=True)
def test_two_people_who_map_at_once_write_each_uuid_once():
    link = factories.connection()
    before = plant(link, "A").site_revision

    together(lambda: outcomes(link, site(U1, "A")), lambda: outcomes(link, site(U1, "A")))

    assert (uuids(), Plant.objects.get().site_revision) == ({"A": U1}, before + 1)


def test_the_number_of_statements_does_not_grow_with_the_sites():
    def cost(count):
        link = factories.connection()
        named = [plant(link, f"P{count}-{n}").external_plant_id for n in range(count)]
        listed = [site(str(uuid.uuid4()), name) for name in named]
        return queries_of(lambda: outcomes(link, *listed))

    assert cost(2) == cost(12)


# --- the command ------------------------------------------------------------------------------------------------------


def run(*words):
    out = io.StringIO()
    try:
        call_command("map_sites", *words, stdout=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def test_the_command_reads_vokes_list_maps_and_tells_each_site():
    with far_rest(listing({"id": U1, "externalPlantId": "A", "name": "Depot"})) as host:
        link = factories.connection(name="Voke production", rest_base_url=host.url)
        plant(link, "A")
        first, again = run("Voke production"), run("Voke production", "--json")

    assert first == (0, f"MAPPED        A                        {U1} Depot\n1 MAPPED\n")
    assert [one["outcome"] for one in json.loads(again[1])["sites"]] == ["KNOWN"]


def test_the_command_ends_with_1_when_a_person_has_to_look():
    with far_rest(listing({"id": U1, "externalPlantId": "STRANGE", "name": ""})) as host:
        factories.connection(name="Voke production", rest_base_url=host.url)
        code, shown = run("Voke production")

    assert code == 1
    assert "UNKNOWN_HERE  STRANGE" in shown


def test_the_command_tells_a_refusal_by_its_code_and_never_the_key():
    with far_rest(document(401, {"code": "UNAUTHORIZED"})) as host:
        factories.connection(name="Voke production", rest_base_url=host.url, api_key="k-secret")
        with pytest.raises(CommandError) as caught:
            run("Voke production")

    assert str(caught.value).startswith("REST_UNAUTHORIZED")
    assert "k-secret" not in str(caught.value)
