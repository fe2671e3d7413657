"""Looking at plants through a stand-in of Voke's REST: what it answers, one run, the report that is kept."""

import json
from datetime import timedelta

from dispatch.models import SiteReport
from dispatch.services.site_config import publish_changed
from link.rest import RestLimits, Retries
from link.site_reports import ReportOptions, run_site_reports
from tests import factories
from tests.dispatch.helpers import deliver
from tests.factories import AT

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


# --- drift ------------------------------------------------------------------------------------------------------------

LIMITS = {"maxImportKw": 100.0, "maxExportKw": 50, "maxChargeKw": 40, "maxDischargeKw": 40}
FALLBACK = {"mode": "STANDARD", "afterSeconds": 900}
