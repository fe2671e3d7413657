"""What is in force at a plant when somebody wants to act on it: emergency, override, plan, switches, last values."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils.translation import gettext as _

from dispatch.models import EmergencyLatch
from dispatch.selectors import open_latch
from plants.models import Connection, ConnectionMode, Installation, Plant, PlantState
from plants.selectors.connections import SECRET_FIELDS
from plants.words import age_text
from schedules.models import Override
from schedules.selectors.overrides import open_override
from schedules.selectors.plans import Ahead, slots_ahead

FRESH_WITHIN = timedelta(minutes=15)
"""Older values are no ground for an estimate."""


@dataclass(frozen=True, kw_only=True)
class Obstacle:
    """Why nothing but an emergency's release can be sent now.

    `code` is the one that services refuse with. `observes`: it is what the connection is set to, not a fault.
    """

    code: str
    title: str
    text: str
    observes: bool = False


@dataclass(frozen=True, kw_only=True)
class Situation:
    """Of one plant at one instant."""

    plant: Plant
    at: datetime
    latch: EmergencyLatch | None
    override: Override | None
    ahead: Ahead
    installation_on: bool

    @property
    def zone(self) -> str:
        return self.plant.time_zone

    @property
    def connection(self) -> Connection | None:
        return self.plant.connection

    @property
    def state(self) -> PlantState | None:
        """The newest values; None where nothing was ever measured."""
        state = getattr(self.plant, "state", None)
        return state if isinstance(state, PlantState) and state.measured_at is not None else None

    @property
    def fresh_state(self) -> PlantState | None:
        """The newest values, where they are young enough to estimate from."""
        state = self.state
        if state is None or state.measured_at is None or state.measured_at < self.at - FRESH_WITHIN:
            return None
        return state

    @property
    def age(self) -> str:
        """How old the newest values are; '' where there are none."""
        state = self.state
        return "" if state is None or state.measured_at is None else age_text(self.at - state.measured_at)

    @property
    def obstacle(self) -> Obstacle | None:
        """The switch or mode that keeps everything from being sent; the emergency is told apart."""
        connection = self.connection
        if connection is None:
            return _not_connected()
        if connection.mode != ConnectionMode.ACTIVE:
            return _observes(connection)
        for is_off, whose in (
            (not self.installation_on, _("the whole installation")),
            (not connection.dispatch_enabled, _("the connection %(name)s") % {"name": connection.name}),
            (not self.plant.dispatch_enabled, _("this plant")),
        ):
            if is_off:
                return _switched_off(whose)
        return None


def _not_connected() -> Obstacle:
    return Obstacle(
        code="NOT_CONNECTED",
        title=_("Not connected to Voke"),
        text=_("The plant has no connection, so nothing can be sent to it. Map it to one first."),
    )


def _observes(connection: Connection) -> Obstacle:
    told = _(
        "%(name)s listens and shows what Voke says, but sends nothing: commands, plans and emergencies wait until "
        "it is switched to ACTIVE."
    )
    return Obstacle(
        code="CONNECTION_OBSERVES",
        title=_("Observing only"),
        text=told % {"name": connection.name},
        observes=True,
    )


def _switched_off(whose: str) -> Obstacle:
    told = _(
        "Dispatch is off for %(whose)s. Nothing is published, emergencies neither, until it is switched on."
    )
    return Obstacle(code="DISPATCH_OFF", title=_("Dispatch is switched off"), text=told % {"whose": whose})


def situation_of(*, organisation_id: int, plant_id: int, at: datetime) -> Situation | None:
    """Five statements; None where the organisation has no such plant."""
    rows = Plant.objects.select_related("connection", "state", "organisation")
    hidden = [f"connection__{name}" for name in SECRET_FIELDS]
    plant = rows.defer(*hidden).filter(organisation_id=organisation_id, pk=plant_id).first()
    if plant is None:
        return None
    return Situation(
        plant=plant,
        at=at,
        latch=open_latch(plant_id=plant.pk),
        override=open_override(plant_id=plant.pk, at=at),
        ahead=slots_ahead(plant_id=plant.pk, at=at),
        installation_on=not Installation.objects.filter(pk=1, dispatch_enabled=False).exists(),
    )
