"""Config updates in the admin: what would change is seen before a person decides, and the decision is kept."""

import json
import uuid
from dataclasses import asdict

import pytest

from plants.models import TimeConfigOrigin, TimeConfigVersion
from plants.services.time_config import Author, set_time_config
from plants.time_config import Block
from tests import factories
from tests.admin.pages import page, text_of
from tests.factories import AT
from trading_api.admin.updates import compare
from trading_api.models import ConfigUpdateRequest, UpdateState
from trading_api.services.credentials import issue_credentials

pytestmark = pytest.mark.django_db


def block(start=0, end=1440, **changes) -> Block:
    facts = {
        "start_minute": start,
        "end_minute": end,
        "p_bat_min_kw": -10.0,
        "p_bat_max_kw": 10.0,
        "soc_min_pct": 20.0,
        "soc_max_pct": 95.0,
    }
    return Block(**(facts | changes))


@pytest.fixture
def waiting(client) -> ConfigUpdateRequest:
    """An update that Voke asked for over the reverse channel and that waits for a person."""
    plant = factories.plant()
    set_time_config(
        plant_id=plant.pk, blocks=[block()], origin=TimeConfigOrigin.PERSON, author=Author(name="jana"), at=AT
    )
    issued = issue_credentials(organisation=plant.organisation, client_id="voke-test", at=AT)
    login = json.dumps({"clientId": "voke-test", "clientSecret": issued.secret.reveal()})
    token = client.post("/trading/token", login, content_type="application/json").json()["accessToken"]
    asked = {
        "plantId": plant.external_plant_id,
        "timeConfigs": [
            {"from": "00:00", "to": "23:59", "pBatMin": -10, "pBatMax": 10, "socMin": 15, "socMax": 95}
        ],
    }
    client.post(
        "/trading/plant/config/update",
        json.dumps(asked),
        content_type="application/json",
        headers={"authorization": f"Bearer {token}"},
    )
    return ConfigUpdateRequest.objects.get(state=UpdateState.OPEN)


def test_the_page_shows_what_is_in_force_beside_what_is_asked_for(jana, waiting):
    shown = text_of(jana.get(page("trading_api_configupdaterequest_change", waiting.pk)))

    assert "What would change in force: v1" in shown
    assert "battery -10 to 10 kW, SoC 20 to 95 % battery -10 to 10 kW, SoC 15 to 95 % Changed" in shown
    assert "voke-test" in shown


def test_an_approved_update_becomes_the_next_version_by_the_person(jana, admin_user, waiting):
    url = page("trading_api_configupdaterequest_approve", waiting.pk)
    asked = text_of(jana.get(url))

    jana.post(url, {"note": "Agreed by phone"})

    waiting.refresh_from_db()
    version = TimeConfigVersion.objects.filter(plant=waiting.plant).latest("number")
    assert "Voke is told APPLIED (terminal)" in asked
    assert (version.number, version.made_by) == (2, admin_user)
    assert version.blocks.get().soc_min_pct == 15.0
    assert (waiting.state, waiting.decided_by, waiting.note) == (
        UpdateState.APPLIED,
        admin_user,
        "Agreed by phone",
    )


def test_a_refusal_needs_a_reason_and_leaves_the_plant_as_it_is(jana, waiting):
    url = page("trading_api_configupdaterequest_refuse", waiting.pk)

    refused = jana.post(url, {"note": ""})
    jana.post(url, {"note": "The site needs 20 %"})

    waiting.refresh_from_db()
    assert "note" in refused.context["form"].errors
    assert (waiting.state, waiting.note) == (UpdateState.REFUSED, "The site needs 20 %")
    assert waiting.plant.time_config.number == 1


def test_a_decision_is_taken_once(jana, waiting):
    url = page("trading_api_configupdaterequest_approve", waiting.pk)
    jana.post(url, {"note": ""})

    again = jana.post(url, {"note": ""})

    assert again.status_code == 403
    assert TimeConfigVersion.objects.filter(plant=waiting.plant).count() == 2


def test_an_update_that_breaks_a_rule_by_now_is_refused_in_words_and_stays_open(jana, waiting):
    waiting.plant.soc_min_pct = 18.0
    waiting.plant.save(update_fields=["soc_min_pct"])

    response = jana.post(page("trading_api_configupdaterequest_approve", waiting.pk), {"note": ""})

    waiting.refresh_from_db()
    assert "lowest SoC is 18 %" in text_of(response)
    assert waiting.state == UpdateState.OPEN


def test_what_waits_for_a_person_is_listed_first(jana, waiting):
    newer = ConfigUpdateRequest.objects.create(
        request_id=uuid.uuid4(), plant=waiting.plant, credential=waiting.credential, blocks=[],
        state=UpdateState.INVALID, asked_at=AT,
    )  # fmt: skip

    listed = jana.get(page("trading_api_configupdaterequest_changelist")).context["cl"].result_list

    assert list(listed) == [waiting, newer]


def test_only_waiting_updates_offer_a_decision_and_only_to_those_who_may(jana, staff, waiting):
    url = page("trading_api_configupdaterequest_change", waiting.pk)
    approve = page("trading_api_configupdaterequest_approve", waiting.pk)
    viewer = staff("trading_api.view_configupdaterequest")

    before = [approve in client.get(url).content.decode() for client in (jana, viewer)]
    jana.post(approve, {"note": ""})

    assert before == [True, False]
    assert approve not in jana.get(url).content.decode()
    assert viewer.post(approve, {"note": ""}).status_code == 403


def test_the_comparison_marks_each_span_of_the_day():
    before = [block(end=360), block(start=360)]
    after = [block(end=360), block(start=360, end=720), block(start=720, soc_min_pct=30.0)]

    marks = [(change.span, change.mark) for change in compare(before, after)]

    assert marks == [
        ("00:00 to 06:00", "same"), ("06:00 to 12:00", "added"), ("06:00 to 24:00", "removed"),
        ("12:00 to 24:00", "added"),
    ]  # fmt: skip


def test_an_update_is_kept_in_the_domains_own_form(waiting):
    assert waiting.blocks == [asdict(block(soc_min_pct=15.0))]
