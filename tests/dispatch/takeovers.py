"""What the tests of takeovers share: a second connection, and the step itself."""

from datetime import timedelta

from dispatch.services.takeover import take_over
from plants.models import ConnectionMode
from tests import factories
from tests.factories import AT

NEW_KEY = "ffeeddccbbaa99887766554433221100" * 2
LATER = AT + timedelta(seconds=2)


def successor(old, **changes):
    """A second connection of the organisation, as a fresh import leaves it."""
    facts = {"mode": ConnectionMode.OBSERVE, "signing_key": NEW_KEY, "routing_prefix": "acme-new"}
    return factories.connection(owner=old.organisation, **(facts | changes))


def taken_over(old, new, at=LATER):
    return take_over(old=old, new=new, at=at, policy=factories.policy())


def ids(claimed):
    return [one.outbound_id for one in claimed]
