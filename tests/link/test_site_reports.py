"""What Voke's REST says of the plants is asked for within bounds, kept, and handed on; drift is told by an alarm."""

import json
import threading
from datetime import timedelta

import pytest

from dispatch.models import SiteReport
from dispatch.services.site_config import publish_changed
from link import site_reports
from link.rest import RestLimits, Retries
from link.site_reports import ReportOptions, current_report_options, fetch, fetch_commands, run_site_reports
from plants.errors import Conflict
from plants.models import Alarm, Connection, Plant
from plants.services.plants import save_plant
from tests import factories
from tests.dispatch.helpers import deliver
from tests.factories import AT
from tests.link.far_rest import document, far_rest

pytestmark = pytest.mark.django_db
LATER = AT + timedelta(minutes=10)
QUICK = ReportOptions(
    pace_s=0.0,
    limits=RestLimits(connect_s=2, read_s=2, total_s=5),
    retries=Retries(attempts=1),
)


def minutes(count):
    return AT + timedelta(minutes=count)


def run(at=LATER, options=QUICK):
    return run_site_reports(at=at, options=options)


def voke(config=None, *, refuse=None):
    """Answers about every site the same, apart from those in `refuse` (site id: (status, code))."""

    def answer(asked):
        site_id = asked.path.split("/")[-2]
        status, code = (refuse or {}).get(site_id, (200, ""))
        if status != 200:
            return status, json.dumps({"statusCode": status, "code": code}).encode()
        return 200, json.dumps({"siteId": site_id, "operatingMode": "STANDARD", **(config or {})}).encode()

    return answer


def link_to(host, **changes):
    return factories.connection(rest_base_url=host.url, **changes)


def published(on=None, **changes):
    """A plant whose site config Voke's broker has taken at AT."""
    plant = factories.plant(on=on, **changes)
    publish_changed(at=AT, policy=factories.policy())
    deliver(plant.connection)
    return plant


def report_of(plant):
    return SiteReport.objects.get(plant=plant)


def test_a_plants_report_is_kept_as_voke_told_it_unknown_members_included():
    told = {"pendingCommands": [{"messageId": "m1", "isExecuting": True}], "novelty": {"a": [1, "\0"]}}
    with far_rest(voke(told)) as host:
        plant = factories.plant(on=link_to(host))
        count = run()

    report = report_of(plant)
    assert (count, report.error_code, report.asked_at, report.answered_at) == (1, "", LATER, LATER)
    assert report.payload["operatingMode"] == "STANDARD"
    assert report.payload["pendingCommands"] == told["pendingCommands"]
    assert report.payload["novelty"] == {"a": [1, "\N{SYMBOL FOR NULL}"]}
    assert host.asked[0].path == f"/api/v1/vcp/sites/{plant.voke_uuid}/config"
