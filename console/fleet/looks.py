"""How one plant of the list looks: the mark in front, the chip of plan and commands, the bars; no query."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.urls import reverse
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext

from console.fleet.equipment import Equipment
from console.fleet.facts_sql import Attention
from console.fleet.reading import PlantFacts
from console.fleet.sparks import Spark
from console.words import amount, look_of
from dispatch.states import State
from plants.words import age_text, label_text

_SEVERITIES = {4: "CRITICAL", 3: "ERROR", 2: "WARNING", 1: "INFO"}
_NOTHING = Spark(planned="", actual="")
_UNTOLD = Equipment()
ON_PLAN_BELOW_KW = 0.05


@dataclass(frozen=True, kw_only=True)
class Mark:
    """A state with its family, icon and words; `url`: where its proof is."""

    family: str
    icon: str
    text: str | SafeString
    url: str = ""


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A diverging bar in percent of its width: what is taken goes left of the middle, what is given right."""

    css: str
    x: str
    width: str


@dataclass(frozen=True, kw_only=True)
class Gauge:
    """A charge within 0 to 100 and the window in which it may be, as texts for SVG attributes."""

    charge: str
    low: str
    high: str
    above: str


@dataclass(frozen=True, kw_only=True)
class PlantLook:
    """A row or a card. `window`: lowest and highest charge allowed now, None = no limit.

    `has`: of PV, battery and load, told where a value of them is missing.
    """

    facts: PlantFacts
    spark: Spark
    window: tuple[float | None, float | None]
    has: Equipment
    at: datetime

    @property
    def url(self) -> str:
        """The plant's page."""
        return reverse("console:plant:page", args=[self.facts.id])

    @property
    def mode(self) -> str:
        """What Voke says the plant does."""
        return label_text(self.facts.mode)

    @property
    def quality(self) -> str:
        """The quality of the newest sample where it is not simply good."""
        word = self.facts.data_quality or ""
        return "" if word in {"", "GOOD"} else label_text(word)

    @property
    def has_values(self) -> bool:
        """Whether anything was ever measured."""
        return self.facts.measured_at is not None

    @property
    def missing_text(self) -> str:
        """Why a value of something that the plant has is not there."""
        if self.has_values:
            return gettext("The newest sample has no value of it")
        return gettext("Nothing was measured yet")

    @cached_property
    def marks(self) -> list[Mark]:
        """What is to be said of plan and commands, the most urgent first; two at most."""
        return _marks(self.facts, self.at)[:2]

    @property
    def mark(self) -> Mark | None:
        """What stands in front of the row: it needs a person for this."""
        if not self.facts.needs_person:
            return None
        worst = _SEVERITIES.get(self.facts.worst_alarm, "")
        by_alarm = {Attention.CRITICAL, Attention.ERROR, Attention.WARNING}
        if self.facts.attention in by_alarm and worst:
            look = look_of(worst)
            return Mark(family=look.family, icon=look.icon, text=str(look.word))
        return self.marks[0] if self.marks else None

    @property
    def plan_text(self) -> str:
        """What stands where no chip does."""
        if self.marks:
            return ""
        if self.facts.amount_kw is None:
            return gettext("No plan")
        return gettext("Starting") if self.facts.over_kw is None else gettext("On plan")

    @property
    def alarm(self) -> Mark | None:
        """The worst open alarm and how many there are."""
        if not self.facts.open_alarms:
            return None
        look = look_of(_SEVERITIES.get(self.facts.worst_alarm, "WARNING"))
        url = f"{reverse('console:alarms:list')}?plant={self.facts.id}"
        return Mark(family=look.family, icon=look.icon, text=str(self.facts.open_alarms), url=url)

    @property
    def grid_size(self) -> float:
        """What fills one half of the grid's bar."""
        facts = self.facts
        return max(facts.max_import_kw or 0, facts.max_export_kw or 0, abs(facts.grid_power_kw or 0), 1.0)

    @property
    def battery_size(self) -> float:
        """What fills one half of the battery's bar."""
        facts = self.facts
        power = abs(facts.battery_power_kw or 0)
        return max(facts.max_charge_kw or 0, facts.max_discharge_kw or 0, power, 1.0)

    @property
    def grid_bar(self) -> Bar:
        """Import left, export right."""
        return _bar(self.facts.grid_power_kw, self.grid_size, "imp", "exp")

    @property
    def battery_bar(self) -> Bar:
        """Charging left, discharging right."""
        return _bar(self.facts.battery_power_kw, self.battery_size, "chg", "dis")

    @property
    def gauge(self) -> Gauge | None:
        """The charge in its window; None = there is no battery to speak of."""
        if self.facts.soc_pct is None:
            return None
        low, high = self.window
        top = 100.0 if high is None else high
        return Gauge(
            charge=f"{min(100.0, max(0.0, self.facts.soc_pct)):.1f}",
            low=f"{low or 0.0:.1f}",
            high=f"{top:.1f}",
            above=f"{100.0 - top:.1f}",
        )

    @property
    def window_text(self) -> str:
        """The allowed charge in words."""
        low, high = self.window
        if low is None and high is None:
            return gettext("no limit")
        return gettext("allowed %(low).0f to %(high).0f %%") % {
            "low": low or 0.0,
            "high": 100.0 if high is None else high,
        }

    @property
    def spark_family(self) -> str:
        """The colour of what was measured."""
        return ("", "doubt", "fail")[self.facts.off_plan]

    @property
    def summary(self) -> str:
        """What the small curves show, for who can't see them."""
        return self.marks[0].text if self.marks else self.plan_text


def looks_of(
    rows: list[PlantFacts],
    *,
    sparks: Mapping[int, Spark],
    windows: Mapping[int, tuple[float | None, float | None]],
    equipment: Mapping[int, Equipment],
    at: datetime,
) -> list[PlantLook]:
    """A look for each row, in their order."""
    return [
        PlantLook(
            facts=one,
            spark=sparks.get(one.id, _NOTHING),
            window=windows.get(one.id, (one.soc_min_pct, one.soc_max_pct)),
            has=equipment.get(one.id, _UNTOLD),
            at=at,
        )
        for one in rows
    ]


def _marks(facts: PlantFacts, at: datetime) -> list[Mark]:
    found: list[Mark] = []
    if facts.latch is not None:
        text = gettext("%(type)s latched") % {"type": facts.latch}
        url = "" if facts.order_id is None else reverse("console:fleet:order", args=[facts.order_id])
        found.append(Mark(family="crit", icon="octagon-x", text=text, url=url))
    if facts.command_state is not None:
        found.append(_of_command(facts))
    if facts.off_plan and facts.over_kw is not None:
        found.append(off_plan_mark(facts.over_kw, far=facts.off_plan == 2))
    if not facts.live:
        found.append(_of_no_data(facts))
    if facts.override_until is not None:
        left = facts.override_until - at
        text = gettext("Override %(left)s") % {"left": age_text(max(left, timedelta()))}
        found.append(Mark(family="doubt", icon="hand", text=text))
    return found


def off_plan_mark(over_kw: float, *, far: bool) -> Mark:
    """How far a plant is from its plan: "41 kW short", "12 kW over"."""
    words = gettext("%(amount)s short") if over_kw < 0 else gettext("%(amount)s over")
    before, _, after = words.partition("%(amount)s")
    return Mark(
        family="fail" if far else "doubt",
        icon="trending-down" if over_kw < 0 else "trending-up",
        text=format_html("{}{}{}", before, amount(over_kw), after),
    )


def _of_command(facts: PlantFacts) -> Mark:
    state = str(facts.command_state)
    look = look_of(state)
    text = gettext("No ACK") if state == State.UNCONFIRMED else str(look.word)
    url = reverse("console:commands:command", args=[facts.command_id])
    return Mark(family=look.family, icon=look.icon, text=text, url=url)


def _of_no_data(facts: PlantFacts) -> Mark:
    if facts.measured_at is None and facts.connection_id is None:
        return Mark(family="wait", icon="unplug", text=gettext("Not connected"))
    return Mark(family="fail", icon="wifi-off", text=gettext("No data"))


def _bar(kw: float | None, size: float, taking: str, giving: str) -> Bar:
    if kw is None:
        return Bar(css="", x="50", width="0")
    width = min(50.0, abs(kw) / size * 50.0)
    x = 50.0 - width if kw > 0 else 50.0
    return Bar(css=taking if kw > 0 else giving, x=f"{x:.1f}", width=f"{width:.1f}")
