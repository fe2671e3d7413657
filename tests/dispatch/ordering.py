"""Small steps that the tests of emergency orders share."""

from datetime import timedelta

import pytest

from dispatch.services import orders as service
from dispatch.services.orders import Selection, carry_on, count_selection, release_order, send_order
from plants.errors import DomainError
from tests import factories
from tests.factories import AT, OPERATOR
from vcp import EmergencyType

LATER = AT + timedelta(minutes=5)
ALL = Selection()


def plants_on(link, count):
    return [factories.plant(on=link) for _ in range(count)]


def order(link, selection=ALL, *, token=None, at=AT, reason="storm", type=EmergencyType.STOP, key="k1"):
    owner = link.organisation_id
    counted = token or count_selection(organisation_id=owner, selection=selection).token
    return send_order(
        organisation_id=owner,
        selection=selection,
        token=counted,
        type=type,
        reason=reason,
        key=key,
        actor=OPERATOR,
        at=at,
        policy=factories.policy(),
    )


def let_go(row, *, at=LATER, reason="storm is over"):
    return release_order(
        organisation_id=row.organisation_id,
        order_id=row.pk,
        actor=OPERATOR,
        reason=reason,
        at=at,
        policy=factories.policy(),
    )


def resume(at=LATER):
    return carry_on(at=at, policy=factories.policy())


def refused(*args, **changes) -> str:
    with pytest.raises(DomainError) as caught:
        order(*args, **changes)
    return caught.value.code


def crash_in(monkeypatch, name, *, after):
    """The service dies when it is called for the (after + 1)th time."""
    whole, calls = getattr(service, name), []

    def crash(*args, **more):
        calls.append(name)
        if len(calls) > after:
            raise RuntimeError("killed")
        return whole(*args, **more)

    monkeypatch.setattr(service, name, crash)
