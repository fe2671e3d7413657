"""Looks at Voke for the schedules that carry plans: more often than for site config, and only where it matters.

Who is asked, and in which order, is decided by `schedules.services.reconcile`; asking and keeping the answers is
`link.site_reports`, whose hook compares them.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from django.conf import settings

from link.site_reports import ReportOptions, run_site_reports
from schedules.services.reconcile import LOOKS_APART, plants_to_look_at
from schedules.services.voke_alarms import clear_settled_alarms

_MOST_PLANTS = 1_000


def look_at_plans(*, at: datetime, options: ReportOptions) -> int:
    """Tick: ask about plants whose schedules run unseen or in doubt; answers how many were asked. 0 s = never.

    Alarms about plans whose reason is gone are cleared first.
    """
    clear_settled_alarms(at=at)
    every = timedelta(seconds=settings.PLAN_LOOK_S)
    if not every:
        return 0
    plants = plants_to_look_at(at=at, every=every, limit=_MOST_PLANTS)
    if not plants:
        return 0
    return run_site_reports(at=at, options=replace(options, every=LOOKS_APART), among=plants)
