"""What the platform explained and stored, in a made-up language: rows keep English, pages say it anew."""

import json

import pytest

from console.fleet import orders
from dispatch.diagnosis import Check, Finding, Result, findings_of, rows_of
from dispatch.diagnosis_words import evidence_lines
from dispatch.models import OrderedPlant
from plants.models import Alarm, Organisation
from plants.services.alarms import raise_platform_alarm
from plants.words import local_stored, local_text
from schedules.conflict_texts import battery_bound, over_site
from schedules.conflicts import Code, Problem, Severity
from schedules.services.drafts import stored_problem
from tests import factories
from tests.console.pseudo import pseudo, pseudo_language
from tests.factories import AT
from vcp import Direction
from vcp.said import said

_AGO = "its telemetry stopped %(age)s ago, other messages go on"


def test_evidence_is_kept_in_english_and_said_in_the_language_of_the_page() -> None:
    saw = said(_AGO, age="14 min")
    finding = Finding(check=Check.SITE, result=Result.WRONG, code="TELEMETRY_STOPPED", saw=saw)

    rows = json.loads(json.dumps(rows_of({Check.SITE: finding})))

    assert rows[0]["saw"] == "its telemetry stopped 14 min ago, other messages go on"
    assert rows_of(findings_of(rows)) == rows, "read and written again it is the same"
    with pseudo_language():
        assert evidence_lines(rows)[0][2] == pseudo(_AGO) % {"age": "14 min"}
    assert evidence_lines([{"check": "SITE", "result": "WRONG", "code": "X", "saw": "an older row"}])[0][
        2
    ] == ("an older row")


@pytest.mark.django_db
def test_an_alarm_of_the_platform_is_said_in_the_language_of_the_page_and_follows_what_it_says(
    organisation: Organisation,
) -> None:
    link = factories.connection(owner=organisation)

    for count in (2, 3):
        raise_platform_alarm(
            connection_id=link.pk,
            alarm_id="here",
            severity="WARNING",
            code="NO_METER_ROW",
            message=said("%(count)s of %(known)s plants have no meter", count=count, known=4),
            at=AT,
        )

    alarm = Alarm.objects.get(alarm_id="here")
    assert alarm.message == alarm.text == "3 of 4 plants have no meter"
    with pseudo_language():
        assert alarm.text == pseudo("%(count)s of %(known)s plants have no meter") % {"count": 3, "known": 4}
    alarm.metadata = None
    assert alarm.text == alarm.message, "one that was raised by an older version"


def test_what_stands_against_a_plan_is_kept_in_english_and_said_in_the_language_of_the_page() -> None:
    text = over_site(Direction.EXPORT, power_kw=320.5, limit_kw=300.0)
    problem = Problem(slot=3, code=Code.SITE_LIMIT, severity=Severity.ERROR, text=text)

    row = json.loads(json.dumps(stored_problem(problem)))

    assert row["text"] == "320.5 kW is over the site's export limit of 300 kW"
    with pseudo_language():
        kw = pseudo("%(power)s kW")
        wanted = pseudo("%(power)s is over the site's export limit of %(limit)s")
        assert local_stored(row) == wanted % {
            "power": kw % {"power": "320,5"},
            "limit": kw % {"power": "300"},
        }


def test_why_an_emergency_was_not_sent_is_said_by_its_code_where_the_page_is_not_english() -> None:
    row = OrderedPlant(decided_at=AT, refusal="DISPATCH_OFF", detail="dispatch is off for the plant")

    assert orders._why(row) == "Dispatch is off for the plant"
    with pseudo_language():
        assert orders._why(row) == pseudo("Dispatch is switched off")


def test_an_assumed_charge_is_a_sentence_of_its_own_with_numbers_of_the_language() -> None:
    text = battery_bound(full=True, pct=90.0, lacking_kwh=1.25, assumed_pct=52.5)

    assert text == (
        "the battery is full for this plan at 90.0 %: 1.25 kWh too much (its charge is not known, 52.5 % assumed)"
    )
    with pseudo_language():
        told = local_text(text)
    assert "90,0 %" in told
    assert "1,25" in told
    assert "52,5 %" in told
