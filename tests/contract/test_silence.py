"""Silence of each cause, played by the stand-in and explained by the platform; what a broker does also on RabbitMQ."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from typing import Any

import pytest

from dispatch.diagnosis_rules import DiagnosisRules
from dispatch.models import Command, CommandEvent, Diagnosis, DiagnosisStage
from dispatch.services.diagnosis import diagnose
from dispatch.states import State
from dispatch.surroundings import last_heard
from esm import clock
from link.diagnosing import LogReader, read_logs
from plants.models import Connection
from plants.selectors.link_health import connection_health
from tests.contract.test_scenarios import setpoint
from tests.contract.world import World, eventually, memory_world
from vcp import Family, Mode, OperatingMode
from voke_sim.config import RestConfig
from voke_sim.faults import FaultKind, FaultRule, OfflineAck

RULES = DiagnosisRules(
    patience=timedelta(seconds=30),
    looks=3,
    look_again=timedelta(milliseconds=100),
    again=timedelta(milliseconds=100),
    lease=timedelta(seconds=60),
)
REST = RestConfig(api_key="key")
MODE = Mode(mode=OperatingMode.STANDARD)
Quiet = Callable[..., AbstractContextManager[World]]


@pytest.fixture
def impatient(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ACK is overdue after a second, and what consumers hear is written down at once."""
    settings.ACK_TIMEOUT_S = 1
    monkeypatch.setattr("link.health.HEALTH_EVERY", timedelta(milliseconds=100))
    monkeypatch.setattr("plants.selectors.link_health.JITTER_S", 1.0)


@pytest.fixture
def quiet_world(transactional_db: None, impatient: None) -> Quiet:
    """A world in memory whose Voke can be read over REST."""

    @contextmanager
    def opened(**sim: Any) -> Iterator[World]:
        with memory_world(rest=REST, **sim) as world:
            Connection.objects.filter(pk=world.connection.pk).update(realtime_period_s=1.0)
            eventually(world.plant_is_heard, what="telemetry of the plant")
            yield world

    return opened


def explained(world: World, command: Command, *, state: State = State.UNCONFIRMED) -> Diagnosis:
    """The diagnosis of a command that came to that state, once nothing more is looked at."""
    world.wait_for(command, state)

    def look() -> Diagnosis | None:
        diagnose(at=clock.now(), rules=RULES)
        read_logs(at=clock.now(), rules=RULES, reader=LogReader(timeout_s=5.0))
        return Diagnosis.objects.filter(command=command, stage=DiagnosisStage.DONE).first()

    return eventually(look, what="the diagnosis")


def has_gone_quiet(world: World) -> bool:
    """Whether nothing arrived for twice the time in which the plant speaks."""
    (health,) = connection_health(connections=[world.connection], at=clock.now()).values()
    heard_at = last_heard(health)
    return heard_at is not None and clock.now() - heard_at > timedelta(seconds=2)


def code_of(row: Diagnosis, check: str) -> str:
    return next(one["code"] for one in row.evidence if one["check"] == check)


def lost(*families: str) -> tuple[FaultRule, ...]:
    return (FaultRule(kind=FaultKind.DROP, families=families),)


def test_a_lost_answer_is_found_in_vokes_log_and_the_state_stays(quiet_world: Quiet):
    with quiet_world(faults=lost("event.command", "event.execution")) as world:
        command = world.send(setpoint(10.0))

        row = explained(world, command)

        assert (row.cause, row.confidence, row.next_step) == (
            "KNOWN_TO_VOKE", "CERTAIN", "TRUST_MEASUREMENT",
        )  # fmt: skip
        assert world.wait_for(command, State.UNCONFIRMED)
        told = CommandEvent.objects.get(command=command, word="DIAGNOSED")
        assert told.detail["log"] == "ACCEPTED"


def test_a_command_that_executes_without_an_ack_is_no_silence_in_the_end(quiet_world: Quiet):
    with quiet_world(faults=lost("event.command")) as world:
        command = world.send(setpoint(10.0))

        world.wait_for(command, State.COMPLETED)

        assert not Diagnosis.objects.filter(command=command, ended_at__isnull=True).exists()


def test_a_rejection_that_was_lost_is_read_in_the_log(quiet_world: Quiet):
    faults = (*lost("event.command"), FaultRule(kind=FaultKind.REJECT))
    with quiet_world(faults=faults) as world:
        command = world.send(setpoint(10.0))

        row = explained(world, command)

        assert (row.cause, row.next_step) == ("KNOWN_TO_VOKE", "READ_REJECTION")
        assert "INVALID_COMMAND" in next(one["saw"] for one in row.evidence if one["check"] == "LOG")


def test_a_swallowed_command_is_unknown_to_voke(quiet_world: Quiet):
    with quiet_world(faults=(FaultRule(kind=FaultKind.SWALLOW, count=1),)) as world:
        command = world.send(setpoint(10.0))

        row = explained(world, command)

        assert (row.cause, row.next_step, code_of(row, "LOG")) == ("UNKNOWN_TO_VOKE", "ASK_VOKE", "UNKNOWN")


def test_a_key_that_voke_does_not_have_is_what_to_check_when_a_signed_command_is_unknown(quiet_world: Quiet):
    with quiet_world() as world:
        Connection.objects.filter(pk=world.connection.pk).update(signing_key="ab" * 32)

        command = world.send(MODE)

        row = explained(world, command)
        assert world.verdicts(command) == ["BAD_SIGNATURE"]
        assert (row.cause, row.next_step) == ("UNKNOWN_TO_VOKE", "CHECK_KEY")


def test_bytes_that_were_not_signed_with_the_key_of_now_and_are_unknown_are_wrong(quiet_world: Quiet):
    with quiet_world() as world:
        key = Connection.objects.get(pk=world.connection.pk).signing_key
        Connection.objects.filter(pk=world.connection.pk).update(signing_key="ab" * 32)
        command = world.send(MODE)
        eventually(lambda: world.verdicts(command), what="the stand-in drops it")
        Connection.objects.filter(pk=world.connection.pk).update(signing_key=str(key))

        row = explained(world, command)

        assert (row.cause, row.confidence) == ("BYTES_WRONG", "CERTAIN")


def test_an_unsigned_message_is_explained_without_asking_voke(quiet_world: Quiet):
    with quiet_world() as world:
        world.connection.signed_families = []
        world.connection.save(update_fields=["signed_families"])
        command = world.send(MODE)

        row = explained(world, command)

        assert (row.cause, row.confidence, row.attempts) == ("SIGNATURE_MISSING", "CERTAIN", 0)
        assert world.verdicts(command) == ["UNSIGNED"]


@pytest.mark.parametrize("skew_s", [400.0, -400.0])
def test_clocks_that_differ_are_found_by_timestamps_and_by_the_date_over_rest(
    quiet_world: Quiet, skew_s: float
):
    with quiet_world(faults=(FaultRule(kind=FaultKind.CLOCK_SKEW, skew_s=skew_s),)) as world:
        command = world.send(setpoint(10.0))

        row = explained(world, command)

        assert world.verdicts(command) == ["STALE"]
        assert (row.cause, row.confidence, row.next_step) == ("CLOCK_SKEW", "CERTAIN", "SET_CLOCK")
        assert "REST" in next(one["saw"] for one in row.evidence if one["check"] == "CLOCK")


def test_a_site_that_is_away_is_told_from_a_link_that_is_silent(quiet_world: Quiet):
    with quiet_world(neighbours=1) as world:
        fault = FaultRule(
            kind=FaultKind.OFFLINE, site=world.plant.external_plant_id, offline_ack=OfflineAck.DELAYED
        )
        number = world.simulator.faults.add(fault)
        command = world.send(setpoint(10.0))

        row = explained(world, command)

        assert (row.cause, row.confidence, row.next_step) == ("SITE_OFFLINE", "CERTAIN", "CALL_SITE")
        world.simulator.faults.remove(number)
        world.wait_for(command, State.COMPLETED)
        row.refresh_from_db()
        assert row.cause == "SITE_OFFLINE"
        assert row.ended_by in (State.ACCEPTED, State.EXECUTING)  # both may come in one batch


def test_a_link_on_which_nothing_is_heard_is_silent_although_voke_has_the_command(quiet_world: Quiet):
    with quiet_world() as world:
        world.simulator.faults.add(FaultRule(kind=FaultKind.DROP, families=("event",)))
        eventually(lambda: has_gone_quiet(world), what="what was said before is stored")
        command = world.send(setpoint(10.0))

        row = explained(world, command)

        assert (row.cause, row.confidence) == ("LINK_SILENT", "CERTAIN")
        assert (code_of(row, "LINK"), code_of(row, "LOG")) == ("SILENT", "KNOWN")


def test_a_report_of_execution_that_was_lost_is_read_in_the_log(quiet_world: Quiet, settings: Any):
    settings.EXECUTION_TIMEOUT_S = 1
    with quiet_world(faults=lost("event.execution")) as world:
        command = world.send(setpoint(10.0))
        world.wait_for(command, State.ACCEPTED)
        eventually(lambda: Diagnosis.objects.filter(command=command).exists(), what="the overdue report")

        row = explained(world, command, state=State.ACCEPTED)

        assert (row.silence, row.cause) == ("NO_EXECUTION", "KNOWN_TO_VOKE")


def test_a_log_that_cannot_be_read_leaves_it_undecided_and_says_why(quiet_world: Quiet):
    with quiet_world(faults=(FaultRule(kind=FaultKind.SWALLOW),)) as world:
        Connection.objects.filter(pk=world.connection.pk).update(api_key="another")
        command = world.send(setpoint(10.0))

        row = explained(world, command)

        assert (row.cause, code_of(row, "LOG")) == ("UNDECIDED", "REST_UNAUTHORIZED")


# --- what the broker does: in memory and on RabbitMQ ------------------------------------------------------------------


def test_an_unbound_queue_is_told_as_returned(make_world: Quiet, impatient: None):
    with make_world() as world:
        world.simulator.faults.add(FaultRule(kind=FaultKind.UNBOUND))
        world.wait_for_intake(bound=False)
        command = world.send(setpoint(10.0))

        row = explained(world, command, state=State.RETURNED)

        assert (row.cause, row.confidence, row.next_step) == ("RETURNED", "CERTAIN", "ASK_VOKE_BINDINGS")


def test_a_right_that_is_missing_is_told_as_refused(make_world: Quiet, impatient: None):
    with make_world() as world:
        Connection.objects.filter(pk=world.connection.pk).update(routing_prefix="somebody")
        command = world.send(setpoint(10.0))

        row = explained(world, command, state=State.REFUSED)

        assert (row.cause, row.confidence, row.next_step) == ("REFUSED", "CERTAIN", "CHECK_RIGHTS")
        assert "403" in next(one["saw"] for one in row.evidence if one["check"] == "BROKER")


def test_a_full_queue_is_told_as_refused_by_the_broker(make_world: Quiet, impatient: None, settings: Any):
    settings.COMMAND_DELIVER_BY_S = 20  # on a busy machine the first attempt takes its time
    with make_world() as world:
        world.simulator.faults.add(FaultRule(kind=FaultKind.FULL))
        world.wait_for_intake(bound=False)
        command = world.send(MODE)

        row = explained(world, command)

        assert (row.silence, row.cause, code_of(row, "BROKER")) == ("NOT_CONFIRMED", "REFUSED", "NACKED")
        assert Family.COMMAND_MODE.value not in world.families_received()
