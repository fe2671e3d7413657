"""A command's life at a site: verdict and ack, waiting, execution events, end.

Edge cases:
- While the site is offline nothing begins and nothing is reported; what is in force goes on at the plant.
- DEVIATED is not the end: a command that reaches its target later is still COMPLETED, as long as its order
  is in force.
- A command whose order is taken away (replaced, stopped, out of time) ends DEVIATED if it had begun and
  said nothing else yet; it ends FAILED if it had not begun.
"""

from vcp import AckStatus, CommandAck, CommandResult, Execution, ExecutionStatus, Family
from voke_sim.alarms import raise_breach
from voke_sim.commands.base import Accepted, PreEmpted, Progress, Rejected, Tracking, Verdict
from voke_sim.commands.registry import kind_of
from voke_sim.faults import FaultKind, OfflineAck
from voke_sim.interpretation import command_type
from voke_sim.site import Site
from voke_sim.state import OpenCommand
from voke_sim.turn import Turn
from voke_sim.voice import reportable


def settle_verdict(
    site: Site, family: Family, verdict: Verdict, *, message_id: str, correlation_id: str, turn: Turn
) -> AckStatus:
    """Acknowledge a judged command, raise its alarms, and keep it open if it was accepted; the ack's
    status.
    """
    name = command_type(family)
    if isinstance(verdict, Rejected):
        _ack(site, name, AckStatus.REJECTED, correlation_id, turn, rejected=verdict)
        status = AckStatus.REJECTED
    else:
        status = _open(site, name, verdict, message_id=message_id, correlation_id=correlation_id, turn=turn)
    for breach in verdict.breaches:
        raise_breach(site, breach, command_type=name, correlation_id=correlation_id, turn=turn)
    return status


def _open(
    site: Site, name: str, verdict: Accepted, *, message_id: str, correlation_id: str, turn: Turn
) -> AckStatus:
    command = OpenCommand(
        message_id=message_id,
        correlation_id=correlation_id,
        command_type=name,
        plan=verdict.plan,
        accepted_at=turn.at,
        not_before=verdict.not_before,
        results=verdict.results,
    )
    site.state.open_commands.append(command)
    offline = turn.faults.for_site(FaultKind.OFFLINE, site.names)
    ready = kind_of(verdict.plan).readiness(site, command, turn.at)
    status = AckStatus.ACCEPTED
    if verdict.is_partial:
        status = AckStatus.PARTIAL
    elif not ready.is_ready or offline is not None:
        status = AckStatus.QUEUED
    if offline is not None and offline.offline_ack is OfflineAck.DELAYED:
        command.held_ack = AckStatus.PARTIAL if verdict.is_partial else AckStatus.ACCEPTED
        return status
    reason = ready.reason or ("the site is offline" if offline is not None else None)
    _ack(site, name, status, correlation_id, turn, results=verdict.results, message=reason)
    return status


def _ack(
    site: Site,
    name: str,
    status: AckStatus,
    correlation_id: str,
    turn: Turn,
    *,
    rejected: Rejected | None = None,
    results: tuple[CommandResult, ...] = (),
    message: str | None = None,
) -> None:
    ack = CommandAck(
        status=status.value,
        command_type=name,
        message=rejected.message if rejected is not None else message,
        rejection_code=rejected.code.value if rejected is not None else None,
        results=rejected.results if rejected is not None else results,
    )
    turn.voice.ack(site, ack, correlation_id=correlation_id, at=turn.at)


def begin_waiting(site: Site, turn: Turn) -> None:
    """Send acks that were held, and begin every command whose time has come."""
    if turn.faults.for_site(FaultKind.OFFLINE, site.names) is not None:
        return
    for command in list(site.state.open_commands):
        if command.held_ack is not None:
            _ack(
                site,
                command.command_type,
                command.held_ack,
                command.correlation_id,
                turn,
                results=command.results,
            )
            command.held_ack = None
        if command.started_at is not None:
            continue
        ready = kind_of(command.plan).readiness(site, command, turn.at)
        reason = command.end_reason or (ready.reason if ready.is_over else None)
        if reason is not None:
            _finish(site, command, ExecutionStatus.FAILED, turn, reason=reason)
        elif ready.is_ready:
            _begin(site, command, turn)


def _begin(site: Site, command: OpenCommand, turn: Turn) -> None:
    family = Family(f"command.{command.command_type}")
    failure = turn.faults.for_message(FaultKind.DISPATCH_FAILURE, family, site.names)
    if failure is not None:
        reason = failure.message or "the command could not be dispatched to the site"
        _finish(site, command, ExecutionStatus.FAILED, turn, reason=reason)
        return
    kind = kind_of(command.plan)
    detail = kind.begin(site, command, turn)
    command.started_at = turn.at
    command.started_plant_s = site.plant.time_s
    turn.voice.effect(
        site, message_id=command.message_id, kind=command.command_type, detail=detail, at=turn.at
    )
    progress = kind.progress(site, command, turn)
    _remember(command, progress)
    _say(site, command, ExecutionStatus.EXECUTING, turn)
    if isinstance(progress, Tracking) and progress.is_reached and not progress.needs_stability:
        # Done at once, before another command of the same batch takes its place.
        _track(site, command, progress, turn)


def report_progress(site: Site, turn: Turn) -> None:
    """Compare what runs with what was asked, and say what changed."""
    if turn.faults.for_site(FaultKind.OFFLINE, site.names) is not None:
        return
    for command in list(site.state.open_commands):
        if command.started_at is None:
            continue
        if command.end_reason is not None:
            _end(site, command, turn)
            continue
        progress = kind_of(command.plan).progress(site, command, turn)
        _remember(command, progress)
        if isinstance(progress, PreEmpted):
            command.stable_since_plant_s = None
            _deviate(site, command, turn, progress.reason)
        else:
            _track(site, command, progress, turn)


def _track(site: Site, command: OpenCommand, progress: Tracking, turn: Turn) -> None:
    settings = turn.config.execution
    now_s = site.plant.time_s
    if progress.has_own_end:
        if progress.is_last:
            done = ExecutionStatus.COMPLETED if progress.is_reached else ExecutionStatus.DEVIATED
            _finish(site, command, done, turn, reason=progress.reason)
        return
    if not progress.is_reached:
        command.stable_since_plant_s = None
        if now_s - command.started_plant_s >= settings.deadline_plant_s:
            _deviate(site, command, turn, progress.reason or "the target was not reached in time")
        return
    if command.stable_since_plant_s is None:
        command.stable_since_plant_s = now_s
    stable_for_s = now_s - command.stable_since_plant_s
    if not progress.needs_stability or stable_for_s >= settings.stable_plant_s:
        _finish(site, command, ExecutionStatus.COMPLETED, turn)


def _deviate(site: Site, command: OpenCommand, turn: Turn, reason: str) -> None:
    if not command.deviated:
        command.deviated = True
        _say(site, command, ExecutionStatus.DEVIATED, turn, reason=reason)


def _end(site: Site, command: OpenCommand, turn: Turn) -> None:
    if command.deviated:
        site.state.open_commands.remove(command)
    else:
        _finish(site, command, ExecutionStatus.DEVIATED, turn, reason=command.end_reason)


def _finish(
    site: Site, command: OpenCommand, status: ExecutionStatus, turn: Turn, *, reason: str | None = None
) -> None:
    site.state.open_commands.remove(command)
    _say(site, command, status, turn, reason=reason)


def _remember(command: OpenCommand, progress: Progress) -> None:
    command.last_actual_kw, command.last_target_kw = progress.actual_kw, progress.target_kw


def _say(
    site: Site, command: OpenCommand, status: ExecutionStatus, turn: Turn, *, reason: str | None = None
) -> None:
    actual_kw, target_kw = command.last_actual_kw, command.last_target_kw
    is_begin = status is ExecutionStatus.EXECUTING
    deviation_kw = None if is_begin or actual_kw is None or target_kw is None else actual_kw - target_kw
    execution = Execution(
        command_type=command.command_type,
        status=status.value,
        actual_value_kw=None if actual_kw is None else reportable(actual_kw),
        target_value_kw=None if target_kw is None else reportable(target_kw),
        deviation_kw=None if deviation_kw is None else reportable(deviation_kw),
        reason=reason,
    )
    turn.voice.execution(site, execution, correlation_id=command.correlation_id, at=turn.at)
