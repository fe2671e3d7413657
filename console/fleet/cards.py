"""What needs a person, as a few cards above the list: each says what it is and whom it is about, and filters it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext

from console.fleet.asked import ListAsked, View
from console.fleet.reading import Overview, PlantFacts
from console.words import amount
from plants.models import Connection, LinkState, StreamHealth
from plants.selectors.link_health import ConnectionHealth
from plants.words import age_text

MOST_NAMES = 2
_STREAMS_STATUS = StreamHealth.Stream.STATUS


@dataclass(frozen=True, kw_only=True)
class Card:
    """One thing that needs a person. `view`, `connection_id`: the filter that it applies."""

    family: str
    icon: str
    title: str
    text: str | SafeString
    asked: ListAsked
    elsewhere: str = ""

    @property
    def url(self) -> str:
        """The list, filtered, unless the answer is on another page."""
        return self.elsewhere or f"{reverse('console:fleet:list')}{self.asked.query()}"


def cards_of(
    *,
    found: Overview,
    urgent: Sequence[PlantFacts],
    links: Sequence[tuple[Connection, ConnectionHealth]],
    shown: ListAsked,
    at: datetime,
    zone: str,
) -> list[Card]:
    """The cards of the whole fleet, the most urgent first. `urgent`: plants that may be named."""
    base = ListAsked(show=shown.show)
    cards = [
        _emergencies(found, urgent, base, at),
        *_folded(_disturbed(links, base, at), base, "unplug", gettext("%(number)d connections disturbed")),
        *_folded(
            _silences(found, urgent, links, base, at, zone),
            base,
            "ear-off",
            gettext("%(number)d connections: status silent"),
        ),
        _unanswered(found, urgent, base, at),
        _off_plan(found, urgent, base),
        _no_data(found, urgent, base, at),
    ]
    return [one for one in cards if one is not None]


def _named(
    rows: Iterable[PlantFacts], wanted: Callable[[PlantFacts], bool], words: Callable[[PlantFacts], object]
) -> SafeString:
    """ "Olomouc 4 min, Tábor 12 min"."""
    chosen = [row for row in rows if wanted(row)][:MOST_NAMES]
    return format_html_join(", ", "{} {}", ((row.name, words(row)) for row in chosen))


def _emergencies(found: Overview, urgent: Sequence[PlantFacts], base: ListAsked, at: datetime) -> Card | None:
    number = found.counts[View.LATCHED]
    if not number:
        return None
    return Card(
        family="crit",
        icon="octagon-x",
        title=ngettext("%(number)d stopped", "%(number)d stopped", number) % {"number": number},
        text=_named(
            urgent,
            lambda row: row.latched_at is not None,
            lambda row: age_text(at - row.latched_at) if row.latched_at else "",
        ),
        asked=base.having(view=View.LATCHED),
    )


def _folded(cards: Sequence[tuple[Connection, Card]], base: ListAsked, icon: str, title: str) -> list[Card]:
    """A card of each connection while they are few; of many one card, so that the list stays in sight."""
    if len(cards) <= MOST_NAMES:
        return [card for _, card in cards]
    failed = any(card.family == "fail" for _, card in cards)
    return [
        Card(
            family="fail" if failed else "doubt",
            icon=icon,
            title=title % {"number": len(cards)},
            text=", ".join(link.name for link, _ in cards),
            asked=base.having(view=View.ALL),
            elsewhere=reverse("console:connect:list"),
        )
    ]


def _disturbed(
    links: Sequence[tuple[Connection, ConnectionHealth]], base: ListAsked, at: datetime
) -> list[tuple[Connection, Card]]:
    found = ((link, _link(link, health, base, at)) for link, health in links)
    return [(link, card) for link, card in found if card is not None]


def _link(link: Connection, health: ConnectionHealth, base: ListAsked, at: datetime) -> Card | None:
    """A connection that does not do what it should."""
    if health.state in (LinkState.CONNECTED, LinkState.CONNECTING):
        return None
    word = gettext("silent") if health.state is LinkState.SILENT else gettext("disturbed")
    since = "" if health.since is None else age_text(at - health.since)
    advice = health.advice
    return Card(
        family="doubt" if health.state in (LinkState.SILENT, LinkState.SLOW) else "fail",
        icon="ear-off" if health.state is LinkState.SILENT else "unplug",
        title=gettext("%(name)s %(word)s %(since)s") % {"name": link.name, "word": word, "since": since},
        text="" if advice is None else advice.title,
        asked=base.having(view=View.ALL, connection_id=link.pk),
    )


def _silences(
    found: Overview,
    urgent: Sequence[PlantFacts],
    links: Sequence[tuple[Connection, ConnectionHealth]],
    base: ListAsked,
    at: datetime,
    zone: str,
) -> list[tuple[Connection, Card]]:
    """Connections that bring telemetry, and no word about commands since the first of them met silence."""
    if not found.silent_commands:
        return []
    cards = []
    for link, health in links:
        begun = [
            row.command_since
            for row in urgent
            if row.connection_id == link.pk and row.is_unanswered and row.command_since is not None
        ]
        status = next(one for one in health.streams if one.stream == _STREAMS_STATUS)
        if health.state is not LinkState.CONNECTED or not begun:
            continue
        if status.last_at is not None and status.last_at >= min(begun):
            continue
        since = min(begun) if status.last_at is None else status.last_at
        clock = f"{since.astimezone(ZoneInfo(zone)):%H:%M}"
        card = Card(
            family="doubt",
            icon="ear-off",
            title=gettext("Status silent %(since)s") % {"since": age_text(at - since)},
            text=gettext("%(name)s: telemetry arrives, no ACK since %(clock)s")
            % {"name": link.name, "clock": clock},
            asked=base.having(view=View.UNANSWERED, connection_id=link.pk),
        )
        cards.append((link, card))
    return cards


def _unanswered(found: Overview, urgent: Sequence[PlantFacts], base: ListAsked, at: datetime) -> Card | None:
    number = found.counts[View.UNANSWERED]
    if not number:
        return None
    silent = found.silent_commands
    title = (
        ngettext("%(number)d unanswered", "%(number)d unanswered", silent) % {"number": silent}
        if silent == number
        else ngettext("%(number)d in doubt or failed", "%(number)d in doubt or failed", number)
        % {"number": number}
    )
    return Card(
        family="doubt" if silent == number else "fail",
        icon="clock-alert",
        title=title,
        text=_named(
            urgent,
            lambda row: row.command_since is not None,
            lambda row: age_text(at - row.command_since) if row.command_since else "",
        ),
        asked=base.having(view=View.UNANSWERED),
    )


def _off_plan(found: Overview, urgent: Sequence[PlantFacts], base: ListAsked) -> Card | None:
    number = found.counts[View.OFF_PLAN]
    if not number:
        return None
    far = any(row.off_plan == 2 for row in urgent)
    return Card(
        family="fail" if far else "doubt",
        icon="trending-down",
        title=ngettext("%(number)d off plan", "%(number)d off plan", number) % {"number": number},
        text=_named(urgent, lambda row: row.off_plan > 0, _short_or_over),
        asked=base.having(view=View.OFF_PLAN),
    )


def _short_or_over(row: PlantFacts) -> SafeString:
    over_kw = row.over_kw or 0.0
    return format_html("{} {}", amount(over_kw), gettext("short") if over_kw < 0 else gettext("over"))


def _no_data(found: Overview, urgent: Sequence[PlantFacts], base: ListAsked, at: datetime) -> Card | None:
    number = found.counts[View.NO_DATA]
    if not number:
        return None
    return Card(
        family="fail",
        icon="wifi-off",
        title=ngettext("%(number)d without data", "%(number)d without data", number) % {"number": number},
        text=_named(
            urgent,
            lambda row: not row.live,
            lambda row: gettext("never") if row.measured_at is None else age_text(at - row.measured_at),
        ),
        asked=base.having(view=View.NO_DATA),
    )
