"""What the tests of takeovers share: a second connection, the step itself, and what consumers prove afterwards."""

from datetime import timedelta

from dispatch.services.draining import DrainRules, retire_drained
from dispatch.services.takeover import take_over
from plants.models import ConnectionMode, LinkHealth, LinkState
from tests import factories
from tests.factories import AT

NEW_KEY = "ffeeddccbbaa99887766554433221100" * 2
LATER = AT + timedelta(seconds=2)
RULES = DrainRules(least=timedelta(0), grace=timedelta(days=1), gone_after=timedelta(seconds=30))


def successor(old, **changes):
    """A second connection of the organisation, as a fresh import leaves it."""
    facts = {"mode": ConnectionMode.OBSERVE, "signing_key": NEW_KEY, "routing_prefix": "acme-new"}
    return factories.connection(owner=old.organisation, **(facts | changes))


def taken_over(old, new, at=LATER):
    return take_over(old=old, new=new, at=at, policy=factories.policy())


def ids(claimed):
    return [one.outbound_id for one in claimed]


def reader(link, *, seen_at, since=None, until=None, holder="consume-1", **facts):
    """A consumer of the connection: what it last said, and what it has proven of the queues."""
    said = {"state": LinkState.CONNECTED, "since": AT, "unread": 0} | facts
    LinkHealth.objects.update_or_create(
        connection=link,
        role=LinkHealth.Role.CONSUME,
        holder=holder,
        defaults=said | {"seen_at": seen_at, "unread_at": seen_at, "read_since": since, "read_until": until},
    )


def retired(at, rules=RULES):
    """The tick."""
    return retire_drained(at=at, rules=rules, policy=factories.policy())
