"""`manage.py site_config`: what a person at the shell sees of a plant's site config, and what they may order."""

import io

import pytest
from django.core.management import CommandError, call_command

from dispatch.models import OutboundMessage, Outcome
from dispatch.selectors_site import site_state
from dispatch.services.site_config import publish_changed
from esm import clock
from plants.models import Connection
from plants.services.plants import save_plant
from tests import factories
from tests.dispatch.helpers import deliver
from tests.factories import AT
from tests.link.far_rest import document, far_rest
from tests.queries import queries_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def at_ten_past(monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: AT.replace(minute=10))


def run(*words):
    out = io.StringIO()
    call_command("site_config", *words, stdout=out)
    return out.getvalue().splitlines()


def published(**changes):
    plant = factories.plant(external_plant_id="DEPOT", assets=[factories.pv()], **changes)
    publish_changed(at=AT, policy=factories.policy())
    deliver(plant.connection)
    return plant


def test_a_plant_is_shown_with_its_versions_and_what_each_changed():
    plant = published()
    plant.max_export_kw = 30.0
    save_plant(plant=plant, at=AT)
    before = run("--show", "DEPOT")
    publish_changed(at=AT.replace(minute=1), policy=factories.policy())

    shown = run("--show", "DEPOT")

    assert "config.constraints: v1 confirmed, a newer one waits" in before
    assert shown == [
        "config.topology: v1 confirmed",
        "  v1 2026-01-02 03:00:00 UTC",
        "    assets[S1].assetType: none -> FVE",
        "    assets[S1].ratedPowerKw: none -> 60",
        "config.constraints: v2 pending",
        "  v2 2026-01-02 03:01:00 UTC",
        "    maxExportKw: 50 -> 30",
        "  v1 2026-01-02 03:00:00 UTC",
        "    maxChargeKw: none -> 40",
        "    maxDischargeKw: none -> 40",
        "    maxExportKw: none -> 50",
        "    maxImportKw: none -> 100",
        "config.fallback: v1 confirmed",
        "  v1 2026-01-02 03:00:00 UTC",
        "    afterSeconds: none -> 900",
        "    mode: none -> STANDARD",
        "Voke was never asked",
    ]


def test_voke_is_asked_and_what_differs_is_shown_and_listed(monkeypatch):
    plant = published()
    told = {"siteId": str(plant.voke_uuid), "constraints": {"maxExportKw": 20}, "fallback": None}
    with far_rest(document(200, told)) as host:
        Connection.objects.update(rest_base_url=host.url)
        once, unlisted = run("--ask", "DEPOT"), run("--drift")
        monkeypatch.setattr(clock, "now", lambda: AT.replace(minute=20))
        twice, listed = run("--ask", "DEPOT"), run("--drift")

    assert "seen once  config.constraints maxExportKw: ours 50, Voke's 20" in once
    assert unlisted == ["0 plants drift"]
    assert "drift      config.fallback mode: ours STANDARD, Voke's none" in twice
    assert listed[0] == "DEPOT since 2026-01-02 03:20:00 UTC"
    assert listed[-1] == "1 plants drift"


def test_a_question_that_fails_is_shown_with_its_code():
    published()
    with far_rest(document(404, {"code": "SITE_NOT_FOUND"})) as host:
        Connection.objects.update(rest_base_url=host.url)
        shown = run("--ask", "DEPOT")

    assert shown[-1] == "Voke last answered: never; last failure: REST_NOT_FOUND"


def test_a_plants_config_is_sent_again_by_order():
    plant = published()

    said = run("--republish", "DEPOT", "--family", "config.fallback")
    publish_changed(at=AT, policy=factories.policy())

    assert said == ["DEPOT: config.fallback will be sent again within seconds"]
    waiting = OutboundMessage.objects.filter(outcome=Outcome.PENDING)
    assert [(one.plant_id, one.family) for one in waiting] == [(plant.pk, "config.fallback")]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--republish", "DEPOT"], "CONNECTION_OBSERVES"),
        (["--ask", "DEPOT"], "REST_NOT_SET"),
        (["--show", "NOWHERE"], "no plant has this id"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_reason(words, code):
    published()
    Connection.objects.update(mode="OBSERVE", rest_base_url="")

    with pytest.raises(CommandError) as caught:
        run(*words)

    assert code in str(caught.value)


def test_the_state_of_a_plant_costs_the_same_however_many_versions_there_are():
    plant = published()

    def cost():
        return queries_of(lambda: site_state(plant_id=plant.pk, site_revision=plant.site_revision))

    few = cost()
    for kw in range(1, 15):
        plant.max_export_kw = float(kw)
        save_plant(plant=plant, at=AT)
        publish_changed(at=AT, policy=factories.policy())

    assert (few, cost()) == (5, 5)
