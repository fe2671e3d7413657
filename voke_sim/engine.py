"""One tick: messages in, sites forward, state saved, broker answered, events out.

The engine is deterministic: the same deliveries at the same instants give the same journal. It reads no
clock and starts no thread; `simulator` does both.
"""

import random
import threading
from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from voke_sim.alarms import clear_due, watch_mode
from voke_sim.commands.mode import end_override, mind_fallback
from voke_sim.commands.schedules import follow_schedules
from voke_sim.config import SimConfig, SiteConfig
from voke_sim.control.inputs import plant_inputs
from voke_sim.control.stack import covered
from voke_sim.faults import FaultBoard, FaultKind
from voke_sim.journal import Journal
from voke_sim.lifecycle import begin_waiting, report_progress
from voke_sim.notes import Action, Note
from voke_sim.outbox import Outbox
from voke_sim.physics.plant import PlantState, rng_for_step, step
from voke_sim.protocol import Reception, Settlement
from voke_sim.site import Site
from voke_sim.state import Setpoint, SiteState
from voke_sim.targets import note_target
from voke_sim.telemetry import meter, realtime
from voke_sim.transport.port import Inbound, Intake, Transport
from voke_sim.turn import Turn
from voke_sim.voice import IdSource, Voice

_HOUR_S = 3_600.0
_MAX_STEPS = 5_000
"""Physics steps per site and tick: a machine that slept skips plant time instead of freezing the engine."""
_SAVE_EVERY = timedelta(seconds=1)
_PRUNE_EVERY = timedelta(hours=1)


class Engine:
    """All sites of one stand-in. `lock` guards the sites: hold it to read them from another thread."""

    def __init__(
        self,
        config: SimConfig,
        *,
        transport: Transport,
        journal: Journal,
        new_id: IdSource,
    ) -> None:
        self.config = config
        self.journal = journal
        self.transport = transport
        self.faults = FaultBoard(config.faults, random.Random(config.seed))  # noqa: S311 - not for secrets
        self.voice = Voice(config, journal, self.faults, new_id)
        self.lock = threading.RLock()
        self.sites = [_restored(site, journal) for site in config.sites]
        by_name = {name: site for site in self.sites for name in site.names}
        self._reception = Reception(config.partner, by_name, journal)
        self._outbox = Outbox(journal, transport)
        self._saved: dict[tuple[str, str], bytes] = {}
        self._saved_at: datetime | None = None
        self._pruned_at: datetime | None = None
        self._was_connected = False
        self._intake = Intake.OPEN

    @property
    def is_taking(self) -> bool:
        """Whether the queues towards Voke are bound, as their broker has confirmed it."""
        return self.transport.intake is Intake.OPEN

    def tick(self, at: datetime, deliveries: Sequence[Inbound] | None = None) -> list[Note]:
        """Work off `deliveries` (None = take what is there) and everything that is due; what
        happened, in notes.
        """
        if deliveries is None:
            deliveries = self.transport.receive(self.config.transport.prefetch, 0)
        turn = Turn(at=at, config=self.config, faults=self.faults, voice=self.voice)
        self._mind_connection(turn)
        self._mind_intake()
        with self.lock, self.journal.transaction():
            words = [(inbound, self._reception.handle(inbound, turn)) for inbound in deliveries]
            for site in self.sites:
                self._advance(site, turn)
            self._save(at, must_save=bool(words))
        self.transport.settle(
            done=[inbound for inbound, word in words if word is Settlement.DONE],
            refused=[inbound for inbound, word in words if word is Settlement.REFUSED],
        )
        self._outbox.flush(at)
        self._prune(at)
        return self.voice.take_notes()

    def finish(self, at: datetime) -> list[Note]:
        """Write all sites down and publish what is due, before the end. What is not taken now goes out at
        the next start.
        """
        with self.lock, self.journal.transaction():
            self._save(at, must_save=True)
        self._outbox.flush(at)
        if self._intake is not Intake.OPEN:
            self.transport.set_intake(Intake.OPEN)  # the next one must find the broker as it pre-exists
        return self.voice.take_notes()

    def _advance(self, site: Site, turn: Turn) -> None:
        mind_fallback(site, turn)
        end_override(site, turn)
        self._drop_covered(site, turn.at)
        follow_schedules(site, turn)
        begin_waiting(site, turn)
        self._run_plant(site, turn)
        report_progress(site, turn)
        self._drop_finished_energy(site)
        watch_mode(site, turn)
        clear_due(site, turn)
        self._report(site, turn)

    def _drop_covered(self, site: Site, at: datetime) -> None:
        gone = {setpoint.key for setpoint in covered(site.state.setpoints, at)}
        if gone:
            site.drop_setpoints(
                lambda setpoint: setpoint.key in gone, "its validity is over or a later setpoint replaced it"
            )

    def _run_plant(self, site: Site, turn: Turn) -> None:
        """Plant time is real time multiplied by the factor, in steps of one size, so that jitter of the
        ticks does
        not change a trajectory."""
        dt_s = self.config.physics_step_s
        if site.last_tick_at is not None:
            elapsed_s = max(0.0, (turn.at - site.last_tick_at).total_seconds())
            site.plant_debt_s = min(site.plant_debt_s + elapsed_s * self.config.factor, _MAX_STEPS * dt_s)
        site.last_tick_at = turn.at
        broken = site.broken_devices(turn.faults)
        setpoint = site.setpoint_in_force(turn.at)
        note_target(site, setpoint, turn)
        while site.plant_debt_s >= dt_s - 1e-9:
            site.plant_debt_s -= dt_s
            inputs = plant_inputs(
                site=site.config,
                state=site.state,
                setpoint=setpoint,
                constraints=site.constraints,
                broken=broken,
                dt_s=dt_s,
            )
            rng = rng_for_step(self.config.seed, site.config.site_id, site.plant.steps)
            site.plant = step(site.config, site.plant, inputs, dt_s, rng)
            self._count_energy(site, setpoint, dt_s)

    def _count_energy(self, site: Site, in_force: Setpoint | None, dt_s: float) -> None:
        """Every begun ENERGY target counts what flows, also while a stronger one steers."""
        for setpoint in site.state.setpoints:
            count = site.state.energy.get(setpoint.key)
            if count is None or count.elapsed_plant_s >= setpoint.interval_plant_s:
                continue
            power_kw = site.plant.measured_kw(include_consumption=setpoint.include_consumption)
            count.moved_kwh += power_kw * dt_s / _HOUR_S
            count.elapsed_plant_s += dt_s

    def _drop_finished_energy(self, site: Site) -> None:
        finished = {
            setpoint.key
            for setpoint in site.state.setpoints
            if setpoint.key in site.state.energy
            and site.state.energy[setpoint.key].elapsed_plant_s >= setpoint.interval_plant_s
        }
        if finished:
            site.drop_setpoints(lambda setpoint: setpoint.key in finished, "its interval is over")

    def _report(self, site: Site, turn: Turn) -> None:
        """Telemetry and meter values when they are due; nothing from a site that is offline."""
        settings, at = self.config.telemetry, turn.at
        is_away = turn.faults.for_site(FaultKind.OFFLINE, site.names) is not None
        if site.next_realtime_at is None or at >= site.next_realtime_at:
            site.next_realtime_at = _next_due(site.next_realtime_at, at, settings.realtime_period_s)
            if not is_away:
                turn.voice.telemetry(site, realtime(site, turn.faults), at=at)
        if site.next_meter_at is None or at >= site.next_meter_at:
            site.next_meter_at = _next_due(site.next_meter_at, at, settings.meter_period_s)
            if not is_away:
                turn.voice.telemetry(site, meter(site, at), at=at)

    def _mind_connection(self, turn: Turn) -> None:
        is_connected = self.transport.is_connected
        if is_connected != self._was_connected:
            self._was_connected = is_connected
            word = "connected" if is_connected else "disconnected"
            turn.voice.note(Action.TRANSPORT, status=word, text=f"message transport {word}", at=turn.at)

    def _mind_intake(self) -> None:
        """Bindings follow their faults; what can't be changed now (no connection) is tried at the next tick."""
        wanted = Intake.OPEN
        if self.faults.for_voke(FaultKind.UNBOUND) is not None:
            wanted = Intake.UNBOUND
        elif self.faults.for_voke(FaultKind.FULL) is not None:
            wanted = Intake.FULL
        if wanted is not self._intake and self.transport.set_intake(wanted):
            self._intake = wanted

    def _save(self, at: datetime, *, must_save: bool) -> None:
        """Orders at once when a message may have changed them, plants at least every second; unchanged
        parts are not
        written again."""
        is_due = self._saved_at is None or at - self._saved_at >= _SAVE_EVERY
        if not must_save and not is_due:
            return
        self._saved_at = at
        for site in self.sites:
            parts = {"orders": msgspec.json.encode(site.state), "plant": msgspec.json.encode(site.plant)}
            for part, state in parts.items():
                if self._saved.get((site.config.site_id, part)) != state:
                    self.journal.save_site(site.config.site_id, part, state, at)
                    self._saved[(site.config.site_id, part)] = state

    def _prune(self, at: datetime) -> None:
        if self._pruned_at is None or at - self._pruned_at >= _PRUNE_EVERY:
            self._pruned_at = at
            self.journal.prune(at - timedelta(seconds=self.config.protocol.keep_s))


def _restored(config: SiteConfig, journal: Journal) -> Site:
    """The site as the journal knows it; a plant whose devices changed since starts anew."""
    orders = journal.load_site(config.site_id, "orders")
    plant = journal.load_site(config.site_id, "plant")
    state = None if orders is None else msgspec.json.decode(orders, type=SiteState)
    plant_state = None if plant is None else msgspec.json.decode(plant, type=PlantState)
    devices = {battery.device_id for battery in config.batteries}, {pv.device_id for pv in config.pv}
    if plant_state is not None and (set(plant_state.batteries), set(plant_state.pv_kw)) != devices:
        state = plant_state = None
    return Site(config, state=state, plant=plant_state)


def _next_due(due_at: datetime | None, at: datetime, period_s: float) -> datetime:
    """The next moment of a fixed rhythm after `at`; missed ones are skipped."""
    period = timedelta(seconds=period_s)
    if due_at is None or at - due_at >= period:
        return at + period
    return due_at + period
