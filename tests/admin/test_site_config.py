"""A plant's site config in the admin: versions with what changed, what Voke reports, and the order to publish again."""

from datetime import timedelta

import pytest

from dispatch.models import OutboundMessage, Outcome, SiteReport
from dispatch.services.site_config import publish_changed
from dispatch.services.site_reports import Answer, ask_now, store_answers
from plants.models import Connection
from plants.services.plants import save_plant
from tests import factories
from tests.admin.pages import page, text_of
from tests.dispatch.helpers import deliver
from tests.factories import AT
from tests.queries import queries_of
from vcp import Family

pytestmark = pytest.mark.django_db
FAMILIES = ["config.topology", "config.constraints", "config.fallback"]


@pytest.fixture
def plant():
    """Published an hour ago, its export limit changed since."""
    row = factories.plant(name="Depot")
    publish_changed(at=AT - timedelta(hours=1), policy=factories.policy())
    deliver(row.connection, at=AT - timedelta(hours=1))
    return row


def look(plant, config, at, error_code=""):
    question = ask_now(plant=plant, at=at)
    payload = None if error_code else {"siteId": question.site_id}
    answer = Answer(question=question, payload=payload, config=config, error_code=error_code)
    store_answers(answers=[answer], at=at, grace=timedelta(0))


def drift(plant):
    for minutes in (20, 10):
        told = {Family.CONFIG_CONSTRAINTS: {"maxExportKw": 65}}
        look(plant, told, AT - timedelta(minutes=minutes))


def url(plant):
    return page("plants_plant_site_config", plant.pk)


def test_the_page_tells_versions_with_what_changed_and_that_a_newer_one_waits(jana, plant):
    plant.max_export_kw = 30.0
    save_plant(plant=plant, at=AT)
    waiting = text_of(jana.get(url(plant)))
    publish_changed(at=AT, policy=factories.policy())

    shown = text_of(jana.get(url(plant)))

    assert "Limits Confirmed a newer one waits to be sent" in waiting
    assert "v2" in shown and "maxExportKw: 50 -> 30" in shown
    assert "Voke reports Not asked yet" in shown
    assert "afterSeconds: none -> 900" in shown


def test_drift_is_told_field_by_field_with_both_values(jana, plant):
    drift(plant)

    shown = text_of(jana.get(url(plant)))

    assert "Voke reports Differs" in shown
    assert "Limits maxExportKw 50 65 Fri 2 Jan 03:40:00 2" in shown


def test_a_question_that_failed_is_told_with_its_code(jana, plant):
    look(plant, None, AT, error_code="REST_FORBIDDEN")

    assert "REST_FORBIDDEN" in text_of(jana.get(url(plant)))


def test_the_order_sends_what_was_chosen_again_and_is_in_the_plants_history(jana, plant):
    answer = jana.post(url(plant), {"families": ["config.fallback"]}, follow=True)
    publish_changed(at=AT, policy=factories.policy())

    waiting = OutboundMessage.objects.filter(outcome=Outcome.PENDING).values_list("family", flat=True)
    assert list(waiting) == ["config.fallback"]
    assert "Voke is told fallback of Depot again within seconds" in text_of(answer)
    assert "Ordered fallback to be published again." in text_of(
        jana.get(page("plants_plant_history", plant.pk))
    )


def test_an_order_that_nothing_would_come_of_is_refused_on_the_page(jana, plant):
    Connection.objects.update(mode="OBSERVE")

    answer = jana.post(url(plant), {"families": FAMILIES})

    assert "only observes" in text_of(answer)


def test_nothing_chosen_is_refused_on_the_page(jana, plant):
    answer = jana.post(url(plant), {})

    assert (answer.status_code, "This field is required" in text_of(answer)) == (200, True)


def test_who_may_only_look_sees_no_button_and_is_refused_the_order(staff, plant):
    petr = staff("plants.view_plant")

    shown, refused = petr.get(url(plant)), petr.post(url(plant), {"families": FAMILIES})

    assert shown.status_code == 200
    assert "Publish again" not in text_of(shown)
    assert refused.status_code == 403


def test_who_may_not_look_at_plants_is_refused(staff, plant):
    assert staff("dispatch.view_sitereport").get(url(plant)).status_code in (302, 403)


def test_the_list_of_reports_finds_those_that_differ(jana, plant):
    other = factories.plant(name="Brewery")
    drift(plant)
    look(other, {}, AT)
    look(factories.plant(name="Roof"), None, AT, error_code="REST_TIMEOUT")
    listing = page("dispatch_sitereport_changelist")

    found = {word: text_of(jana.get(f"{listing}?drift={word}")) for word in ("drifts", "agrees", "failed")}

    names = {
        word: [name for name in ("Depot", "Brewery", "Roof") if f"{name} " in shown.split("Last failure")[-1]]
        for word, shown in found.items()
    }
    assert names == {"drifts": ["Depot"], "agrees": ["Brewery"], "failed": ["Roof"]}


def test_a_report_shows_vokes_answer(jana, plant):
    look(plant, {}, AT)

    shown = text_of(jana.get(page("dispatch_sitereport_change", SiteReport.objects.get().pk)))

    assert f'"siteId": "{plant.voke_uuid}"' in shown


def test_the_page_costs_the_same_however_many_versions_there_are(jana, plant):
    jana.get(url(plant))
    few = queries_of(lambda: jana.get(url(plant)))
    for kw in range(1, 14):
        plant.max_export_kw = float(kw)
        save_plant(plant=plant, at=AT)
        publish_changed(at=AT, policy=factories.policy())

    assert queries_of(lambda: jana.get(url(plant))) == few
