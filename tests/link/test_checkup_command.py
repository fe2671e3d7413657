"""`manage.py check_connection`: what a person reads, what a program reads, and the exit code."""

import io
import json

import pytest
from django.core.management import CommandError, call_command

from plants.models import Connection
from tests import factories
from tests.link.far_rest import document, far_rest, listing

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def in_memory(settings):
    settings.LINK_TRANSPORT = "memory"


def run(*words: str) -> tuple[int, str]:
    """(exit code, output)."""
    out = io.StringIO()
    try:
        call_command("check_connection", *words, stdout=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue()
    return 0, out.getvalue()


def listening_at(url: str) -> Connection:
    return factories.connection(name="Voke production", rest_base_url=url, scopes=[])


def test_a_person_reads_a_line_for_each_step_and_the_fix_of_what_is_wrong():
    with far_rest(document(403, {"code": "FORBIDDEN"})) as host:
        link = listening_at(host.url)

        code, output = run("Voke production")

    lines = output.splitlines()
    assert code == 1
    assert lines[0] == f"connection {link.pk} 'Voke production', ACTIVE"
    assert lines[1] == f"OK       address    localhost port 5671, user acme, vhost {link.vhost}"
    assert lines[2] == "SKIPPED  host       the link is within this process, without a network"
    assert "FAILED   rest       The key may not read over REST: 403 FORBIDDEN" in lines
    assert any(line.startswith(" " * 20 + "-> Ask Voke's administrator for the scope") for line in lines)
    assert lines[-1] == "1 OK, 1 FAILED, 7 SKIPPED, 3 UNKNOWN"


def test_a_program_reads_one_document():
    plant = factories.plant()
    site = {"id": str(plant.voke_uuid), "externalPlantId": plant.external_plant_id}
    with far_rest(listing(site)) as host:
        Connection.objects.filter(pk=plant.connection_id).update(rest_base_url=host.url)

        code, output = run(str(plant.connection_id), "--json")

    told = json.loads(output)
    steps = {one["step"]: one for one in told["steps"]}
    assert (code, told["ok"], told["connection"]) == (1, False, plant.connection_id)
    assert steps["events"]["code"] == "NO_PROCESS"
    assert (steps["rest"]["verdict"], steps["rest"]["facts"]) == (
        "OK",
        {"sites": 1, "known": 1, "unknown_to_us": 0, "unknown_to_voke": 0},
    )


def test_what_only_warns_ends_well():
    link = factories.connection(name="quiet")
    with far_rest(
        listing({"id": "7a1d2c3b-4e5f-4a6b-8c7d-9e0f1a2b3c4d", "externalPlantId": "ELSEWHERE"})
    ) as host:
        Connection.objects.filter(pk=link.pk).update(rest_base_url=host.url)

        code, output = run("quiet")

    assert code == 0
    assert "WARNING  rest" in output
    assert "not ours: ELSEWHERE" in output


def test_sites_that_voke_does_not_list_are_named():
    plant = factories.plant()
    with far_rest(listing()) as host:
        Connection.objects.filter(pk=plant.connection_id).update(rest_base_url=host.url)

        _, output = run(str(plant.connection_id))

    assert f"not at Voke: {plant.external_plant_id}" in output


def test_names_of_two_organisations_need_the_organisation():
    one, _ = factories.connection(name="same"), factories.connection(name="same")

    with pytest.raises(CommandError, match=r"two connections have.*--organisation"):
        run("same")
    with pytest.raises(CommandError, match="no connection has"):
        run("nothing like it")
    assert run("same", "--organisation", one.organisation.slug)[1].startswith(f"connection {one.pk} ")


def test_a_text_of_somebody_elses_can_not_steer_the_terminal():
    with far_rest(document(422, {"code": "\x1b[2J\nOK       rest"})) as host:
        listening_at(host.url)

        _, output = run("Voke production")

    assert "\x1b" not in output
    assert "FAILED   rest       REST refuses the request: 422 ?[2J OK rest" in output.splitlines()


def test_what_a_host_repeats_of_the_key_is_struck_out():
    key = "k+a-long-secret"
    with far_rest(document(422, {"code": f"KEY {key}"})) as host:
        link = listening_at(host.url)
        link.amqps_uri = f"amqps://acme:{key}@localhost:5671/{link.vhost}"
        link.save()

        _, output = run("Voke production")

    assert key not in output
    assert "422 KEY ***" in output
