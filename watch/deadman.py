"""Dead-man rules: each looks at facts and says what stays away that should come. Pure.

- A rule answers findings; `decide` turns them into alarms. A finding becomes an alarm when it lasted for `after`, and
  its alarm is cleared when the rule found nothing for `Limits.clear_after`: neither a restart nor a single late message
  makes an alarm come and go.
- A finding with `raises` False is too weak for a new alarm and strong enough to keep one: the upper and the lower
  threshold of a rule differ.
- What nobody has ever used raises nothing: an installation without connections is calm.
- The second of a kind is one function and one line in `RULES`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from vcp.said import Said, said
from watch.deadman_texts import clock_text, letters_text, link_text
from watch.facts import Facts, MeterFact, TickFact
from watch.limits import Limits
from watch.models import Severity

AT_ONCE = timedelta(0)
SHORTLY = timedelta(seconds=10)
SETTLED = timedelta(minutes=2)
TICKS_SILENT_AFTER = timedelta(seconds=30)
TICK_AT_LEAST_S = 15.0
TICK_PERIODS = 3
PULL_GAPS = 3
LONGEST_GAP = timedelta(hours=48)
PLANTS_NAMED = 5
FINDINGS_MAX = 500


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something wrong now. `key` names rule and subject and is the alarm's id; `after`: how long it must last first."""

    key: str
    code: str
    severity: Severity
    message: str
    connection_id: int | None = None
    plant_id: int | None = None
    organisation_id: int | None = None
    after: timedelta = AT_ONCE
    raises: bool = True


Rule = Callable[[Facts, datetime, Limits], Iterator[Finding]]


# --- the link ---------------------------------------------------------------------------------------------------------

_LINK_CODES: Mapping[str, tuple[str, Severity]] = {
    "DOWN": ("LINK_DOWN", Severity.ERROR),
    "CONNECTING": ("LINK_DOWN", Severity.ERROR),
    "REFUSED": ("LINK_REFUSED", Severity.ERROR),
    "SLOW": ("LINK_SLOW", Severity.ERROR),
    "BLOCKED": ("LINK_BLOCKED", Severity.WARNING),
    "SILENT": ("LINK_SILENT", Severity.WARNING),
}


def link_broken(facts: Facts, at: datetime, limits: Limits) -> Iterator[Finding]:
    """LINK_DOWN, LINK_REFUSED, LINK_SLOW, LINK_BLOCKED, LINK_SILENT: one alarm per connection, of the present state."""
    for link in facts.links:
        if limits.link_grace and link.state in _LINK_CODES:
            code, severity = _LINK_CODES[link.state]
            yield Finding(
                key=f"LINK:{link.connection_id}",
                code=code,
                severity=severity,
                message=link_text(link),
                connection_id=link.connection_id,
                after=limits.link_grace,
            )


def clock_skew(facts: Facts, _at: datetime, limits: Limits) -> Iterator[Finding]:
    """CLOCK_SKEW: incoming timestamps differ from our clock; cleared below four fifths of the limit."""
    limit_ms = limits.clock_skew.total_seconds() * 1000
    for link in facts.links:
        skew_ms = abs(link.skew_ms or 0)
        if limit_ms and skew_ms > 0.8 * limit_ms:
            yield Finding(
                key=f"CLOCK_SKEW:{link.connection_id}",
                code="CLOCK_SKEW",
                severity=Severity.WARNING,
                message=said(
                    "%(name)s: Voke's timestamps differ from our clock by %(skew_ms)s s or so. Voke drops "
                    "commands that are too far off: check this machine's time synchronisation first.",
                    name=link.name,
                    skew_ms=round(skew_ms / 10000) * 10,
                ),
                connection_id=link.connection_id,
                after=timedelta(minutes=1),
                raises=skew_ms > limit_ms,
            )


# --- commands ---------------------------------------------------------------------------------------------------------


def no_ack(facts: Facts, _at: datetime, limits: Limits) -> Iterator[Finding]:
    """NO_ACK: commands reach the broker and none is answered. Kept until one is, however long nobody sends.

    Not raised while our database takes nothing: the answers may be among what waits.
    """
    unstored = _unstored(facts)
    for fact in facts.acks if limits.no_ack_within else ():
        if fact.last_unanswered_at is None:
            continue
        if fact.last_answered_at is not None and fact.last_answered_at >= fact.last_unanswered_at:
            continue
        yield Finding(
            key=f"NO_ACK:{fact.connection_id}",
            code="NO_ACK",
            severity=Severity.ERROR,
            message=said(
                "%(name)s: Voke's broker took our commands and Voke answered none of them, the newest sent "
                "at %(last_unanswered_at)s. Voke drops unsigned and wrongly signed messages without a word: "
                "check signing key and decoding, then ask Voke. Never send again blindly.",
                name=fact.name,
                last_unanswered_at=clock_text(fact.last_unanswered_at),
            ),
            connection_id=fact.connection_id,
            raises=fact.answered == 0
            and fact.unanswered >= limits.no_ack_count
            and fact.connection_id not in unstored,
        )


def outbox_old(facts: Facts, at: datetime, limits: Limits) -> Iterator[Finding]:
    """OUTBOX_OLD: a message that should have been published still waits."""
    for fact in facts.outboxes if limits.outbox_age else ():
        age = at - fact.oldest_at
        if age > limits.outbox_age / 2:
            yield Finding(
                key=f"OUTBOX_OLD:{fact.connection_id}",
                code="OUTBOX_OLD",
                severity=Severity.ERROR,
                message=said(
                    "%(name)s: messages to Voke wait unpublished since %(oldest_at)s. Look at the link of "
                    "this connection and whether a relay runs.",
                    name=fact.name,
                    oldest_at=clock_text(fact.oldest_at),
                ),
                connection_id=fact.connection_id,
                after=SHORTLY,
                raises=age > limits.outbox_age,
            )


def _unstored(facts: Facts) -> set[int]:
    """Connections whose messages arrive and are not stored: what stays away there is not Voke's fault."""
    return {link.connection_id for link in facts.links if link.code in ("STORING_SLOWLY", "DATABASE_AWAY")}


# --- what should arrive -----------------------------------------------------------------------------------------------


def no_meter_row(facts: Facts, _at: datetime, limits: Limits) -> Iterator[Finding]:
    """NO_METER_ROW: plants that reported meters have stopped; one alarm each, or one for the connection when many."""
    unstored = _unstored(facts)
    for fact in facts.meters if limits.no_meter_for else ():
        ours = fact.connection_id in unstored
        if fact.silent_count > PLANTS_NAMED or (fact.silent_count == fact.known > 1):
            yield _meters_of_connection(
                fact, _OURS if ours else said("Ask Voke whether the plants' meters are read.")
            )
        elif fact.silent_count:
            yield from _meters_of_plants(fact, _OURS if ours else said("Is its meter still read?"))


_OURS = said("What arrives is not stored: look at the database first.")


def _meters_of_connection(fact: MeterFact, action: Said) -> Finding:
    whole = fact.silent_count == fact.known
    return Finding(
        key=f"NO_METER_ROW:{fact.connection_id}",
        code="NO_METER_ROW",
        severity=Severity.ERROR if whole else Severity.WARNING,
        message=said("%(name)s: no plant has any new meter row. %(action)s", name=fact.name, action=action)
        if whole
        else said(
            "%(name)s: %(count)s of %(known)s plants have no new meter row. %(action)s",
            name=fact.name,
            count=fact.silent_count,
            known=fact.known,
            action=action,
        ),
        connection_id=fact.connection_id,
        after=SETTLED,
    )


def _meters_of_plants(fact: MeterFact, action: Said) -> Iterator[Finding]:
    for meter in fact.silent:
        yield Finding(
            key=f"NO_METER_ROW:{fact.connection_id}:{meter.plant_id}",
            code="NO_METER_ROW",
            severity=Severity.WARNING,
            message=said(
                "%(name)s: no new meter row since %(last_at)s. %(action)s",
                name=meter.name,
                last_at=clock_text(meter.last_at),
                action=action,
            ),
            connection_id=fact.connection_id,
            plant_id=meter.plant_id,
            after=SETTLED,
        )


def dead_letters_growing(facts: Facts, _at: datetime, limits: Limits) -> Iterator[Finding]:
    """DEAD_LETTERS_GROWING: more than so many in the window; kept until they are half as many."""
    for fact in facts.letters if limits.dead_letters_within else ():
        if fact.count > limits.dead_letters_max / 2:
            minutes = round(limits.dead_letters_within.total_seconds() / 60)
            yield Finding(
                key=f"DEAD_LETTERS:{fact.connection_id}",
                code="DEAD_LETTERS_GROWING",
                severity=Severity.WARNING,
                message=letters_text(fact, most=limits.dead_letters_max, minutes=minutes),
                connection_id=fact.connection_id,
                raises=fact.count > limits.dead_letters_max,
            )


def no_pull(facts: Facts, at: datetime, limits: Limits) -> Iterator[Finding]:
    """NO_PULL: Voke has stopped pulling an organisation, or never began."""
    for fact in facts.pulls:
        if fact.last_pull_at is None:
            since, limit, words = fact.issued_at, limits.first_pull_within, said("has never pulled it")
        else:
            usual = PULL_GAPS * min(fact.usual_gap or AT_ONCE, LONGEST_GAP / PULL_GAPS)
            since, limit = fact.last_pull_at, limits.no_pull_for and max(limits.no_pull_for, usual)
            words = said("has stopped pulling it")
        if limit and at - since > limit:
            yield Finding(
                key=f"NO_PULL:{fact.organisation_id}",
                code="NO_PULL",
                severity=Severity.WARNING,
                message=said(
                    "%(name)s: Voke %(words)s; nothing since %(since)s. Look at the pull journal for "
                    "refused requests; check that the address and the credentials at Voke are right.",
                    name=fact.name,
                    words=words,
                    since=clock_text(since),
                ),
                organisation_id=fact.organisation_id,
                after=SETTLED,
            )


# --- ourselves --------------------------------------------------------------------------------------------------------


def tick_overdue(facts: Facts, at: datetime, _limits: Limits) -> Iterator[Finding]:
    """TICKS_SILENT when nothing runs by the clock at all, else TICK_OVERDUE for each tick that stays away or fails."""
    if not facts.ticks:
        return
    newest = max(alive_at(tick) for tick in facts.ticks)
    if at - newest > TICKS_SILENT_AFTER:
        yield Finding(
            key="TICKS_SILENT",
            code="TICKS_SILENT",
            severity=Severity.CRITICAL,
            message=said(
                "No periodic step has run since %(newest)s: scheduled commands are not queued, missing "
                "answers and emergencies are not followed up. Start worker and beat; look at their logs and "
                "at Redis.",
                newest=clock_text(newest),
            ),
            after=SHORTLY,
        )
        return
    for tick in facts.ticks:
        if at - alive_at(tick) > overdue_after(tick.period_s):
            why = (
                said("it fails with %(code)s", code=tick.error_code)
                if not tick.ok
                else said("it does not run")
            )
            yield Finding(
                key=f"TICK_OVERDUE:{tick.name}",
                code="TICK_OVERDUE",
                severity=Severity.ERROR,
                message=said(
                    "The periodic step %(name)s has not done its work since %(tick)s: %(why)s. Look at the "
                    "worker's log.",
                    name=tick.name,
                    tick=clock_text(alive_at(tick)),
                    why=why,
                ),
                after=SHORTLY,
            )


def alive_at(tick: TickFact) -> datetime:
    """From when on its silence counts."""
    return tick.since if tick.finished_at is None else max(tick.since, tick.finished_at)


def overdue_after(period_s: float) -> timedelta:
    """How long a tick of this period may stay away."""
    return timedelta(seconds=max(TICK_PERIODS * period_s, TICK_AT_LEAST_S))


RULES: tuple[Rule, ...] = (
    link_broken,
    clock_skew,
    no_ack,
    outbox_old,
    no_meter_row,
    dead_letters_growing,
    no_pull,
    tick_overdue,
)
TICK_RULES: tuple[Rule, ...] = (tick_overdue,)
TICK_CODES = frozenset({"TICKS_SILENT", "TICK_OVERDUE"})


def findings(rules: Sequence[Rule], facts: Facts, *, at: datetime, limits: Limits) -> list[Finding]:
    """What the rules find, worst first and bounded."""
    found = [one for rule in rules for one in rule(facts, at, limits)]
    ranks = list(Severity)
    return sorted(found, key=lambda one: (-ranks.index(one.severity), one.key))[:FINDINGS_MAX]


# --- from findings to alarms ------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Known:
    """A suspicion as it is stored; `said` is (code, severity, message) of the raised alarm, None = not yet raised."""

    key: str
    first_at: datetime
    last_at: datetime
    said: tuple[str, str, str] | None


@dataclass(kw_only=True)
class Decision:
    """What to do: rows to begin, to touch (found again), to forget; alarms to raise or bring up to date, to clear."""

    begin: list[Finding] = field(default_factory=list)
    touch: list[str] = field(default_factory=list)
    tell: list[Finding] = field(default_factory=list)
    clear: list[str] = field(default_factory=list)
    forget: list[str] = field(default_factory=list)


def decide(known: Mapping[str, Known], found: Sequence[Finding], *, at: datetime, limits: Limits) -> Decision:
    """Compare what is found now with what was suspected before."""
    decision = Decision()
    seen: set[str] = set()
    for one in found:
        before = known.get(one.key)
        if not one.raises and (before is None or before.said is None):
            continue
        seen.add(one.key)
        _found(decision, one, before, at)
    for key, before in known.items():
        if key not in seen and at - before.last_at >= limits.clear_after:
            decision.forget.append(key)
            if before.said is not None:
                decision.clear.append(key)
    return decision


def _found(decision: Decision, one: Finding, before: Known | None, at: datetime) -> None:
    if before is None:
        decision.begin.append(one)
    else:
        decision.touch.append(one.key)
    said = before.said if before else None
    lasted = at - before.first_at if before else AT_ONCE
    if said is None:
        if lasted >= one.after:
            decision.tell.append(one)
    elif said != (one.code, one.severity.value, one.message):
        decision.tell.append(one)
