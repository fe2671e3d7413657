"""The bookkeeping of one published window: which tag is which message, and what the broker said. Knows no socket.

Edge cases:
- One ack or nack may settle every tag up to its own (`multiple`).
- A return names no tag, only the message; it comes before the ack of the same message, and it wins.
- Words about tags of an earlier window, given up long ago, are ignored.
- A message that was handed over and came up again later stays UNKNOWN: TOO_LATE and NOT_SENT promise that no byte was
  sent.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from link.broker import Fate, Outgoing, Sent


@dataclass(kw_only=True)
class Entry:
    """One message of the window. `attempted`: bytes of it may have reached the socket; `fate` None: no word yet."""

    message: Outgoing
    attempted: bool = False
    fate: Fate | None = None
    detail: str = ""

    def decide(self, fate: Fate, detail: str = "") -> None:
        """The first word is the last."""
        if self.fate is None:
            self.fate, self.detail = fate, detail

    def too_late(self) -> None:
        """Its last moment passed before it was handed over (again)."""
        if self.attempted:
            self.decide(Fate.UNKNOWN, "its last moment passed before it could be sent again")
        else:
            self.decide(Fate.TOO_LATE, "its last moment passed before it was handed over")

    def leave(self, reason: str) -> None:
        """No word came, and none will be waited for."""
        self.decide(Fate.UNKNOWN if self.attempted else Fate.NOT_SENT, reason)


class Window:
    """The messages of one `publish` call and their fates."""

    def __init__(self, messages: Sequence[Outgoing]) -> None:
        self._entries = [Entry(message=message) for message in messages]
        self._by_message_id: dict[str, list[Entry]] = {}
        for entry in self._entries:
            self._by_message_id.setdefault(entry.message.message_id, []).append(entry)
        self._unconfirmed: dict[int, Entry] = {}

    def undecided(self) -> list[Entry]:
        """Messages without a fate, in order."""
        return [entry for entry in self._entries if entry.fate is None]

    @property
    def unconfirmed(self) -> int:
        """How many handed-over messages still await their confirm."""
        return len(self._unconfirmed)

    def handed_over(self, entry: Entry, tag: int) -> None:
        """The message is about to be written under this tag; tags grow."""
        entry.attempted = True
        self._unconfirmed[tag] = entry

    def forget_tags(self) -> None:
        """The channel was reopened: its tags start anew, and what was unconfirmed will never be confirmed."""
        self._unconfirmed.clear()

    def returned(self, message_id: str, detail: str) -> None:
        """No queue took the message with this id; its ack still follows."""
        for entry in self._by_message_id.get(message_id, ()):
            if entry.attempted and entry.fate is None:
                entry.decide(Fate.RETURNED, detail)
                return

    def settle(self, tag: int, *, multiple: bool, fate: Fate, detail: str = "") -> None:
        """The broker confirmed or refused a tag, or all tags up to it."""
        for one in self._up_to(tag) if multiple else (tag,):
            entry = self._unconfirmed.pop(one, None)
            if entry is not None:
                entry.decide(fate, detail)

    def results(self) -> list[Sent]:
        """One `Sent` per message, in order; call when every fate is decided."""
        return [
            Sent(
                outbound_id=entry.message.outbound_id,
                fate=entry.fate or (Fate.UNKNOWN if entry.attempted else Fate.NOT_SENT),
                detail=entry.detail,
            )
            for entry in self._entries
        ]

    def _up_to(self, tag: int) -> list[int]:
        found = []
        for one in self._unconfirmed:  # in the order of handing over: tags grow
            if one > tag:
                break
            found.append(one)
        return found
