"""Config updates as a service: compared, applied or held, decided by people."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest
from pytest_django import Settings

from plants.errors import NotFound, Several
from plants.models import Organisation, Plant, TimeConfigOrigin, UpdatePolicy, User
from plants.selectors.plants import blocks_of_version
from plants.services.plants import save_plant
from plants.services.time_config import Author
from plants.time_config import Block
from tests import factories
from tests.factories import AT
from tests.trading_api.conftest import PERSON, Voke, block, edit, later, voke_for
from trading_api.errors import UpdateNotOpen
from trading_api.mapping import Outcome
from trading_api.models import ConfigUpdateRequest, HeldBecause, UpdateState
from trading_api.services import (
    UpdateAnswer,
    approve_update,
    prune_updates,
    refuse_update,
    request_update,
)
from trading_api.services.updates import record_served

pytestmark = pytest.mark.django_db


def ask(voke: Voke, *blocks: Block, at: datetime = AT, **changes: Any) -> UpdateAnswer:
    facts: dict[str, Any] = {
        "organisation_id": voke.plant.organisation_id,
        "credential_id": voke.credential.pk,
        "client_id": voke.credential.client_id,
        "external_plant_id": voke.ref,
        "blocks": blocks,
        "at": at,
    }
    return request_update(**(facts | changes))


def serve(voke: Voke, number: int) -> None:
    record_served(credential_id=voke.credential.pk, plant_id=voke.plant.pk, number=number, at=AT)


def in_force(voke: Voke) -> list[Block]:
    plant = Plant.objects.select_related("time_config").get(pk=voke.plant.pk)
    return [] if plant.time_config_id is None else blocks_of_version(plant.time_config_id)


def the_request(request_id: UUID) -> ConfigUpdateRequest:
    return ConfigUpdateRequest.objects.get(request_id=request_id)


def reviewed(voke: Voke) -> Voke:
    voke.plant.update_policy = UpdatePolicy.REVIEW
    save_plant(plant=voke.plant, at=AT)
    return voke


def test_an_update_of_the_version_last_served_is_applied_at_once(voke: Voke) -> None:
    edit(voke.plant, block())
    serve(voke, 1)
    answer = ask(voke, block(power_kw=5.0), at=later(minutes=1))
    assert (answer.outcome, answer.version) == (Outcome.APPLIED, 2)
    assert in_force(voke) == [block(power_kw=5.0)]
    version = Plant.objects.get(pk=voke.plant.pk).time_config
    assert version is not None
    assert (version.origin, version.made_at) == (TimeConfigOrigin.VOKE, later(minutes=1))
    assert voke.credential.client_id in version.made_by_name


def test_a_first_config_is_applied_to_a_plant_whose_empty_one_was_served(voke: Voke) -> None:
    serve(voke, 0)
    assert (ask(voke, block()).outcome, in_force(voke)) == (Outcome.APPLIED, [block()])


def test_an_applied_update_changes_the_organisations_revision(voke: Voke) -> None:
    serve(voke, 0)
    before = Organisation.objects.get().revision
    ask(voke, block())
    assert Organisation.objects.get().revision == before + 1


@pytest.mark.parametrize(
    ("served_number", "policy", "because"),
    [
        (None, UpdatePolicy.APPLY, HeldBecause.NEVER_SERVED),
        (1, UpdatePolicy.APPLY, HeldBecause.NEWER_VERSION),
        (2, UpdatePolicy.REVIEW, HeldBecause.POLICY),
    ],
)
def test_an_update_is_held(voke: Voke, served_number: int | None, policy: str, because: str) -> None:
    edit(voke.plant, block())
    edit(voke.plant, block(power_kw=9.0))
    Plant.objects.filter(pk=voke.plant.pk).update(update_policy=policy)
    if served_number is not None:
        serve(voke, served_number)
    answer = ask(voke, block(power_kw=5.0))
    request = the_request(answer.request_id)
    assert answer.outcome == Outcome.ACCEPTED
    assert (request.state, request.held_because, request.based_on) == (
        UpdateState.OPEN,
        because,
        served_number,
    )
    assert in_force(voke) == [block(power_kw=9.0)]


def test_what_another_credential_was_served_does_not_count(voke: Voke) -> None:
    edit(voke.plant, block())
    serve(voke_for(voke.plant), 1)
    assert ask(voke, block(power_kw=5.0)).outcome == Outcome.ACCEPTED


def test_after_its_own_update_was_applied_a_credential_may_send_the_next(voke: Voke) -> None:
    serve(voke, 0)
    ask(voke, block())
    assert ask(voke, block(power_kw=5.0)).outcome == Outcome.APPLIED


def test_the_same_update_again_gets_the_same_answer_and_no_new_version(voke: Voke) -> None:
    serve(voke, 0)
    first, second = ask(voke, block()), ask(voke, block(), at=later(hours=1))
    assert first == second
    assert ConfigUpdateRequest.objects.count() == 1


def test_blocks_in_another_order_are_the_same_update(voke: Voke) -> None:
    serve(voke, 0)
    first = ask(voke, block(0, 360), block(360, 1440))
    assert ask(voke, block(360, 1440), block(0, 360)).request_id == first.request_id


def test_an_update_equal_to_a_persons_config_is_applied_without_a_new_version(voke: Voke) -> None:
    edit(voke.plant, block())
    first, second = ask(voke, block()), ask(voke, block())
    assert (first.outcome, first.version) == (Outcome.APPLIED, 1)
    assert first == second


def test_being_told_that_it_is_in_force_counts_as_being_served(voke: Voke) -> None:
    edit(voke.plant, block())
    ask(voke, block())
    assert ask(voke, block(power_kw=5.0)).outcome == Outcome.APPLIED


def test_an_update_equal_to_the_open_request_gets_its_answer(voke: Voke) -> None:
    first, second = ask(reviewed(voke), block()), ask(voke, block(), at=later(hours=1))
    assert first == second
    assert first.outcome == Outcome.ACCEPTED
    assert the_request(first.request_id).asked_at == AT


def test_a_different_update_replaces_the_open_request(voke: Voke) -> None:
    first, second = ask(reviewed(voke), block()), ask(voke, block(power_kw=5.0), at=later(hours=1))
    assert [the_request(answer.request_id).state for answer in (first, second)] == [
        UpdateState.SUPERSEDED,
        UpdateState.OPEN,
    ]
    assert the_request(first.request_id).decided_at == later(hours=1)


def test_asking_for_what_is_in_force_withdraws_the_open_request(voke: Voke) -> None:
    edit(reviewed(voke).plant, block())
    held = ask(voke, block(power_kw=5.0))
    assert ask(voke, block()).outcome == Outcome.APPLIED
    assert the_request(held.request_id).state == UpdateState.SUPERSEDED


def test_broken_rules_are_rejected_with_every_reason(voke: Voke) -> None:
    serve(voke, 0)
    answer = ask(voke, block(0, 600), block(500, 1440, power_kw=90.0))
    assert answer.outcome == Outcome.REJECTED
    assert [problem.path for problem in answer.problems] == [
        "timeConfigs[1].pBatMax",
        "timeConfigs[1].pBatMin",
    ]
    assert "timeConfigs[1].pBatMax" in answer.message
    assert in_force(voke) == []


@pytest.mark.parametrize(
    ("blocks", "path"),
    [
        ([block(0, 600), block(500, 1440)], "timeConfigs[1].from"),
        ([block(0, 600), block(700, 1440)], "timeConfigs[1].from"),
        ([block(0, 600)], "timeConfigs"),
        ([], "timeConfigs"),
        ([block(1320, 360)], "timeConfigs[0].to"),
    ],
    ids=["overlap", "gap", "gap-at-the-end", "nothing", "across-midnight"],
)
def test_each_rule_is_named(voke: Voke, blocks: Sequence[Block], path: str) -> None:
    assert path in [problem.path for problem in ask(voke, *blocks).problems]


def test_a_rejected_update_leaves_the_open_request_open(voke: Voke) -> None:
    held = ask(reviewed(voke), block())
    ask(voke, block(0, 600))
    assert the_request(held.request_id).state == UpdateState.OPEN
    assert ask(voke, block()) == held


def test_a_rejected_update_gets_the_same_answer_until_the_rule_is_gone(voke: Voke) -> None:
    serve(voke, 0)
    first, second = ask(voke, block(0, 600)), ask(voke, block(0, 600))
    assert first.request_id == second.request_id
    Plant.objects.filter(pk=voke.plant.pk).update(gaps_allowed=True)
    assert ask(voke, block(0, 600)).outcome == Outcome.APPLIED


def test_an_approved_update_is_in_force_and_answered_so(voke: Voke) -> None:
    user = User.objects.create(username="eva")
    held = ask(reviewed(voke), block())
    version = approve_update(
        update_id=the_request(held.request_id).pk,
        author=Author(name="Eva", user=user),
        at=later(hours=1),
        note="fine",
    )
    request = the_request(held.request_id)
    assert (
        request.state,
        request.version,
        request.decided_by,
        request.decided_by_name,
        request.decided_at,
    ) == (
        UpdateState.APPLIED,
        version,
        user,
        "Eva",
        later(hours=1),
    )
    again = ask(voke, block())
    assert (again.outcome, again.request_id, again.version) == (Outcome.APPLIED, held.request_id, 1)


def test_a_refused_update_changes_nothing_and_is_answered_so(voke: Voke) -> None:
    held = ask(reviewed(voke), block())
    refuse_update(update_id=the_request(held.request_id).pk, author=PERSON, at=later(hours=1), note="too hot")
    again = ask(voke, block())
    assert (again.outcome, again.request_id) == (Outcome.REJECTED, held.request_id)
    assert "too hot" in again.message
    assert in_force(voke) == []


def test_a_refused_update_may_be_asked_again_once_the_config_has_changed(voke: Voke) -> None:
    held = ask(reviewed(voke), block())
    refuse_update(update_id=the_request(held.request_id).pk, author=PERSON, at=AT)
    edit(voke.plant, block(power_kw=5.0))
    again = ask(voke, block())
    assert (again.outcome, again.request_id != held.request_id) == (Outcome.ACCEPTED, True)


def test_a_different_update_after_a_refusal_is_a_new_request(voke: Voke) -> None:
    held = ask(reviewed(voke), block())
    refuse_update(update_id=the_request(held.request_id).pk, author=PERSON, at=AT)
    assert ask(voke, block(power_kw=5.0)).outcome == Outcome.ACCEPTED


def test_a_decision_is_made_once(voke: Voke) -> None:
    held = the_request(ask(reviewed(voke), block()).request_id)
    refuse_update(update_id=held.pk, author=PERSON, at=AT)
    for decide in (approve_update, refuse_update):
        with pytest.raises(UpdateNotOpen):
            decide(update_id=held.pk, author=PERSON, at=AT)
    assert in_force(voke) == []


def test_a_replaced_request_can_no_longer_be_approved(voke: Voke) -> None:
    first = the_request(ask(reviewed(voke), block()).request_id)
    ask(voke, block(power_kw=5.0))
    with pytest.raises(UpdateNotOpen):
        approve_update(update_id=first.pk, author=PERSON, at=AT)


def test_an_approval_that_breaks_a_rule_by_now_leaves_the_request_open(voke: Voke) -> None:
    held = the_request(ask(reviewed(voke), block()).request_id)
    Plant.objects.filter(pk=voke.plant.pk).update(max_charge_kw=1.0)
    with pytest.raises(Several):
        approve_update(update_id=held.pk, author=PERSON, at=AT)
    held.refresh_from_db()
    assert held.state == UpdateState.OPEN


def test_a_decision_about_nothing_is_not_found() -> None:
    with pytest.raises(NotFound):
        refuse_update(update_id=1, author=PERSON, at=AT)


def test_a_request_that_waits_keeps_its_meaning_when_the_sign_of_the_wire_changes(
    voke: Voke, settings: Settings
) -> None:
    one_way = Block(
        start_minute=0,
        end_minute=1440,
        p_bat_min_kw=-5.0,
        p_bat_max_kw=30.0,
        soc_min_pct=20.0,
        soc_max_pct=95.0,
    )
    held = the_request(ask(reviewed(voke), one_way).request_id)
    settings.TRADING_PBAT_SIGN = "discharge"
    approve_update(update_id=held.pk, author=PERSON, at=AT)
    assert in_force(voke) == [one_way]


def test_another_organisations_plant_is_not_found(voke: Voke) -> None:
    with pytest.raises(NotFound) as caught:
        ask(voke, block(), external_plant_id=factories.plant().external_plant_id)
    assert caught.value.code == "PLANT_NOT_FOUND"


def test_pruning_keeps_what_people_and_the_config_still_need(voke: Voke) -> None:
    ask(reviewed(voke), block(0, 600))
    ask(voke, block(power_kw=1.0))
    refused = ask(voke, block(power_kw=2.0))
    refuse_update(update_id=the_request(refused.request_id).pk, author=PERSON, at=AT)
    ask(voke, block(power_kw=3.0))
    assert prune_updates(at=later(days=30), keep_days=30) == 0
    assert prune_updates(at=later(days=31), keep_days=30, limit=1) == 1
    assert prune_updates(at=later(days=31), keep_days=30) == 1
    assert sorted(ConfigUpdateRequest.objects.values_list("state", flat=True)) == ["OPEN", "REFUSED"]
