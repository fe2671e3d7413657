"""What the steps of one check share: the connection, the limits, and what earlier steps found."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from link.amqp_connection import AmqpsLink
from link.broker import Clock, LinkError, LinkTarget
from link.checkup_results import CheckResult, Step
from plants.models import Connection
from plants.selectors.link_health import ConnectionHealth, connection_health
from vcp import AmqpsAddress


@dataclass(frozen=True, kw_only=True)
class CheckOptions:
    """How to check.

    `over_network` False: the link is in memory, so the steps to a broker do not apply. `publish`: try it on a
    connection that observes, too. `ack_timeout_s`: how long an answer to a command may take.
    """

    ca_file: str | None = None
    over_network: bool = True
    publish: bool = False
    connect_timeout_s: float = 10.0
    answer_timeout_s: float = 10.0
    rest_timeout_s: float = 10.0
    ack_timeout_s: float = 60.0
    new_id: Callable[[], uuid.UUID] = uuid.uuid4


@dataclass(kw_only=True)
class Walk:
    """One check under way; used by one thread, closed at its end."""

    connection: Connection
    clock: Clock
    options: CheckOptions
    address: AmqpsAddress | None = None
    target: LinkTarget | None = None
    addresses: list[str] = field(default_factory=list)
    link: AmqpsLink | None = None
    vhost_refused: LinkError | None = None
    waiting: dict[str, int] = field(default_factory=dict)
    results: dict[Step, CheckResult] = field(default_factory=dict)
    _health: ConnectionHealth | None = None

    @property
    def at(self) -> datetime:
        """Now."""
        return self.clock()

    def known_address(self) -> AmqpsAddress:
        """The address, which the first step has read."""
        if self.address is None:
            raise RuntimeError("the step runs before the address was read")
        return self.address

    def known_target(self) -> LinkTarget:
        """Where the link leads, which the first step has read."""
        if self.target is None:
            raise RuntimeError("the step runs before the address was read")
        return self.target

    def open_link(self) -> AmqpsLink:
        """The link, which the step of the login has opened."""
        if self.link is None:
            raise RuntimeError("the step runs before the login")
        return self.link

    def health(self) -> ConnectionHealth:
        """What processes and streams last said; asked once."""
        if self._health is None:
            found = connection_health(connections=[self.connection], at=self.at)
            self._health = found[self.connection.pk]
        return self._health

    def close(self) -> None:
        """Close the link of the check; never raises."""
        if self.link is not None:
            self.link.close()
