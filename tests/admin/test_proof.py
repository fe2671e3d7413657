"""The proof of a setpoint in the admin: its verdict in the list and on its page, what it was found by, a filter."""

import pytest

from dispatch.models import Proof, ProofHint, Verification
from tests import factories
from tests.admin.pages import page, text_of
from tests.dispatch.helpers import ask, energy, mode, setpoint
from tests.dispatch.proof_world import DUE, SLOT, judged, measure, sent
from tests.queries import queries_of

pytestmark = pytest.mark.django_db
LIST = "dispatch_command_changelist"


def page_of(client, command) -> str:
    return text_of(client.get(page("dispatch_command_change", command.pk)))


def test_a_verified_setpoint_tells_its_numbers(jana):
    plant = factories.plant()
    command = sent(plant, setpoint(10.0))
    measure(plant, -10.2)
    judged(command)

    text = page_of(jana, command)

    assert "Measured Verified" in text
    told = "Export 10 kW asked, export 10 kW measured (telemetry, 84 samples, 100 % of the time), 0.5 kW tolerated"
    assert told in text
    assert "Likely why" not in text


def test_a_missed_setpoint_tells_by_how_much_and_why(jana):
    plant = factories.plant(soc_min_pct=10.0)
    command = sent(plant, setpoint(10.0))
    measure(plant, -2.0, soc_pct=10.0)
    judged(command)

    text = page_of(jana, command)

    assert "Off target" in text
    assert "The battery's charge was at its bound all the time" in text
    assert "Late ones are looked for" in text
    assert "8.0 kW more import than asked" in text_of(jana.get(page(LIST)))


def test_a_verdict_that_late_measurements_changed_tells_the_first_one(jana):
    plant = factories.plant()
    command = sent(plant, setpoint(10.0))
    judged(command)
    measure(plant, -10.0)
    judged(command, at=DUE + SLOT)

    assert "Before late measurements No data" in page_of(jana, command)


def test_an_energy_is_told_in_its_own_unit(jana):
    plant = factories.plant()
    command = sent(plant, energy(2.5, 15))
    measure(plant, -10.0)
    judged(command)

    assert "Export 2.5 kWh asked, export 2.5 kWh measured (telemetry, 90 samples" in page_of(jana, command)


def test_before_it_is_judged_the_page_says_when(jana):
    assert "Measured Not measured yet Judged" in page_of(jana, sent(factories.plant(), setpoint()))


def test_a_command_that_is_not_measured_says_nothing_of_it(jana):
    assert "Measured" not in page_of(jana, ask(factories.plant(), mode()))


def test_the_list_is_filtered_by_the_verdict(jana):
    plant = factories.plant()
    missed, kept = sent(plant, setpoint(10.0)), sent(plant, setpoint(20.0))
    Verification.objects.filter(command=missed).update(
        verdict=Proof.OFF_TARGET, off_by=3.0, unit="kW", hint=ProofHint.LIMITED
    )

    text = text_of(jana.get(page(LIST), {"proof": "OFF_TARGET"}))

    assert f"#{missed.pk}" in text
    assert f"#{kept.pk}" not in text


def test_a_filter_that_is_no_verdict_changes_nothing(jana):
    command = sent(factories.plant(), setpoint(10.0))

    assert f"#{command.pk}" in text_of(jana.get(page(LIST), {"proof": "SOMETHING"}))


def test_the_list_asks_for_all_proofs_at_once(jana):
    plant = factories.plant()

    def statements(number):
        for _ in range(number):
            ask(plant, setpoint())
        return queries_of(lambda: jana.get(page(LIST)))

    statements(1)
    assert statements(1) == statements(10)
