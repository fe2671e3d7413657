"""Bytes -> services: what arrives from Voke becomes rows, once each.

`receive` takes a batch of one connection, parses every delivery by `vcp` (`link.parsing`), and applies the batch in one
transaction (`link.applying`): dedupe, then the service of each family. A delivery that can't be understood becomes a
dead letter in the same transaction. If a batch fails in the database although every message was understood, it is
halved until the guilty message is alone, and that one becomes a dead letter: one poison row can't stop the rest.

Edge cases (the concurrency policy):
- Only after `receive` returned may the deliveries be acknowledged. A crash in between brings them again, and the keys
  in the database make that harmless; dead letters are not counted again when the broker says that it gave them before.
- Whose fault an error is, its SQLSTATE decides (`link.database_trouble`). While the database is away the error is
  raised: the caller backs off and nothing is acknowledged. What a rival caused is tried again as a whole.
- A half whose other half went well holds the guilty message: it is halved without being tried as a whole. One guilty
  message in n costs at most 2 + 2·log2(n) transactions and g of them about g times 2 + 2·log2(n / g); every good half
  is committed as soon as it is found.
- A statement timeout may be a lock or a load. While a table of ours is locked or a trivial write lasts too long as well
  it is the database's: raised each time, so the messages stay at the broker. Else it is raised at first, and a
  connection whose batches end so `TIMEOUTS_ENDURED` times in a row (`Patience`) is halved too, with a short timeout.
  Those that are slow alone are tried together once more, and become dead letters only when others of their batch went
  through: where nothing does, no message is to blame. One message that came alone has no others to compare with.
  Interpretation: a session that hangs on the row of one plant costs that plant's messages (they can be replayed),
  because waiting for it would stop all others of the connection.
- A partition that another process dropped after we had seen it is made anew, and the batch tried again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from math import ceil, log2

import structlog
from django.db import connection, transaction

from dispatch.services.life import LostRace
from link.applying import Inlet, Report, apply_together
from link.broker import Delivery
from link.database_trouble import NO_PARTITION, Fault, fault_of, slow_as_a_whole, sqlstate_of, words_of
from link.parsing import Parsed, letter_of, parse_batch
from plants.services.dead_letters import Letter
from plants.services.partitions import ensure_partitions, forget_known_partitions
from plants.services.readings import storable

__all__ = ["Inlet", "Patience", "Report", "receive"]

log = structlog.get_logger(__name__)
MAX_ATTEMPTS = 5
TIMEOUTS_ENDURED = 3
SHORT_TIMEOUT_MS = 5000


@dataclass(kw_only=True)
class Patience:
    """How many batches of a connection in a row have ended in a statement timeout; kept by whoever calls `receive`."""

    timeouts: int = 0

    @property
    def over(self) -> bool:
        """Whether a timeout counts as a message's own fault by now."""
        return self.timeouts >= TIMEOUTS_ENDURED


def _nothing() -> None:
    pass


def _ignore(_understood: Sequence[Parsed]) -> None:
    pass


def receive(
    batch: Sequence[Delivery],
    *,
    inlet: Inlet,
    at: datetime,
    patience: Patience | None = None,
    on_step: Callable[[], None] = _nothing,
    on_understood: Callable[[Sequence[Parsed]], None] = _ignore,
) -> Report:
    """Store a batch of deliveries; when it returns, every one of them is in the database or is a dead letter.

    `on_understood` is told what could be read, before anything is stored. `on_step` is called after each transaction: a
    sign of life for whoever watches.
    """
    parsed, letters = parse_batch(
        batch, routing_prefix=inlet.routing_prefix, max_body_bytes=inlet.max_body_bytes
    )
    on_understood(parsed)
    # Before the transaction: making a partition waits for locks that the batch must not hold meanwhile.
    _ensure_partitions(parsed, inlet=inlet, at=at)
    work = _Work(inlet=inlet, at=at, patience=patience or Patience(), on_step=on_step)
    work.report.received = len(batch)
    work.report.understood = parsed
    work.store(parsed, letters)
    work.patience.timeouts = 0
    return work.report


def _ensure_partitions(parsed: Sequence[Parsed], *, inlet: Inlet, at: datetime) -> None:
    moments = [one.moment for one in parsed if one.is_reading]
    if not moments:
        return
    within = partial(storable, at=at, retention_days=inlet.retention_days)
    if not (within(min(moments)) and within(max(moments))):
        moments = [moment for moment in moments if within(moment)]
    ensure_partitions(days={moment.date() for moment in moments})


@dataclass(kw_only=True)
class _Work:
    """One batch on its way into the database."""

    inlet: Inlet
    at: datetime
    patience: Patience
    on_step: Callable[[], None]
    report: Report = field(default_factory=Report)
    guilty: list[Letter] = field(default_factory=list)
    suspects: list[tuple[Parsed, Exception]] = field(default_factory=list)
    timeouts: int = 0
    some_went_through: bool = False

    def store(self, parsed: Sequence[Parsed], letters: Sequence[Letter]) -> None:
        """Everything together; when that fails, what is good first, then all dead letters in one transaction."""
        error = self._apply(parsed, letters)
        if error is None:
            return
        if parsed:
            self._divide(parsed, error)
            self._second_chance()
            error = self._apply([], [*letters, *self.guilty])
        if error is not None:  # no message is left that could be blamed
            raise error

    def _divide(self, parsed: Sequence[Parsed], error: Exception) -> None:
        """`parsed` holds a guilty message, and `error` is what it caused."""
        if len(parsed) == 1:
            if fault_of(error) is Fault.SLOW:
                self.suspects.append((parsed[0], error))
            else:
                self._blame(parsed[0], error, reason="NOT_APPLICABLE")
            return
        middle = len(parsed) // 2
        first, second = parsed[:middle], parsed[middle:]
        first_error = self._apply(first, [])
        if first_error is None and len(second) > 1:
            self._divide(second, error)
            return
        second_error = self._apply(
            second, []
        )  # before the first is divided: what is good must not wait for that
        if first_error is not None:
            self._divide(first, first_error)
        if second_error is not None:
            self._divide(second, second_error)

    def _second_chance(self) -> None:
        """What was slow alone, together and without hurry: a lock may be gone by now."""
        if not self.suspects:
            return
        error = self._apply([one for one, _ in self.suspects], [], in_a_hurry=False)
        if error is None:
            return
        if len(self.suspects) > 1 and not self.some_went_through:
            raise error
        for one, cause in self.suspects:
            self._blame(one, cause, reason="TOO_SLOW")

    def _blame(self, one: Parsed, error: Exception, *, reason: str) -> None:
        log.error(
            "dead letter",
            action="inbox.unusable",
            connection_id=self.inlet.connection_id,
            routing_key=one.delivery.routing_key,
            exc_info=None if self.guilty else error,  # one traceback tells enough of a batch
        )
        self.guilty.append(letter_of(one.delivery, reason=reason, detail=words_of(error)))

    def _apply(
        self, parsed: Sequence[Parsed], letters: Sequence[Letter], *, in_a_hurry: bool = True
    ) -> Exception | None:
        """One transaction, tried again where a rival was in the way; the error that is a message's own fault.

        Raises what is not: then nothing of this part is stored, and nothing of the batch may be acknowledged.
        """
        for attempt in range(1, MAX_ATTEMPTS + 1):
            try:
                with transaction.atomic():
                    if in_a_hurry:
                        self._be_quick()
                    outcome = apply_together(parsed, letters, inlet=self.inlet, at=self.at)
            except Exception as error:
                self.on_step()
                if attempt < MAX_ATTEMPTS and self._worth_another_try(error, parsed, attempt):
                    log.info(
                        "batch retried", action="inbox.retry", attempt=attempt, error=type(error).__name__
                    )
                    continue
                if not self._is_message_s_own(error):
                    raise
                return error
            self.on_step()
            self.report.add(outcome)
            self.some_went_through |= bool(parsed)
            return None
        raise AssertionError("unreachable")

    def _worth_another_try(self, error: Exception, parsed: Sequence[Parsed], attempt: int) -> bool:
        """The pause is the database's deadlock timeout; the end, the number of attempts."""
        if fault_of(error) is Fault.RIVAL:
            return True
        if sqlstate_of(error) != NO_PARTITION or attempt > 1:
            return False
        forget_known_partitions()
        _ensure_partitions(parsed, inlet=self.inlet, at=self.at)
        return True

    def _is_message_s_own(self, error: Exception) -> bool:
        match fault_of(error):
            case Fault.MESSAGE:
                return True
            case Fault.SLOW:
                return self._is_slow_itself()
            case Fault.RIVAL:
                return isinstance(error, LostRace)  # lost each time: not by chance
            case Fault.AWAY:
                return False

    def _is_slow_itself(self) -> bool:
        """After a statement timeout: whether the search for the message that caused it may go on."""
        why = slow_as_a_whole(connection_id=self.inlet.connection_id)
        if why:
            log.warning("database slow", action="inbox.slow", why=why)
            return False
        if not self.patience.over:
            self.patience.timeouts += 1
            return False
        self.timeouts += 1
        # So many are met before the first good message is alone, at worst.
        return self.some_went_through or self.timeouts <= 2 * ceil(log2(self.report.received)) + 2

    def _be_quick(self) -> None:
        """With the patience gone, a part that is slow must not cost the usual timeout again and again."""
        if self.patience.over and connection.vendor == "postgresql":
            with connection.cursor() as cursor:
                cursor.execute(f"SET LOCAL statement_timeout = {SHORT_TIMEOUT_MS}")
