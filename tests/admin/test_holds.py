"""Measurements are held and released by people, with a reason and a history."""

from datetime import UTC, datetime

import pytest
from django.contrib.admin.models import LogEntry

from metering.models import RetentionHold
from metering.services.holds import hold, release
from tests.admin.pages import page, text_of
from tests.factories import AT

pytestmark = pytest.mark.django_db
VIEW, HOLD, RELEASE = (f"metering.{word}_retentionhold" for word in ("view", "add", "change"))
ASKED = {"from_at": "2025-03-01T00:00", "to_at": "2025-04-01T00:00", "reason": "Invoice 3 is disputed"}


@pytest.fixture
def held(db) -> RetentionHold:
    march, april = (datetime(2025, month, 1, tzinfo=UTC) for month in (3, 4))
    return hold(from_at=march, to_at=april, reason="Invoice 3 is disputed", by="eva", at=AT)


def holding() -> str:
    return page("metering_retentionhold_add")


def releasing(row: RetentionHold) -> str:
    return page("metering_retentionhold_release", row.pk)


def test_a_span_is_held_with_its_reason_and_stands_in_the_history(jana):
    told = text_of(jana.post(holding(), ASKED, follow=True))

    row = RetentionHold.objects.get()
    history = text_of(jana.get(page("metering_retentionhold_history", row.pk)))
    assert (row.from_at, row.to_at) == (datetime(2025, 3, 1, tzinfo=UTC), datetime(2025, 4, 1, tzinfo=UTC))
    assert (row.reason, row.held_by_name, row.held_at) == ("Invoice 3 is disputed", "jana", AT)
    assert "stay until the hold is released" in told
    assert "2025-03-01 00:00 UTC" in told
    assert "Held: Invoice 3 is disputed" in history


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"to_at": "2025-03-01T00:00"}, "to_at"),
        ({"to_at": "2025-02-01T00:00"}, "to_at"),
        ({"from_at": "soon"}, "from_at"),
        ({"reason": "  "}, "reason"),
        ({"reason": "x" * 201}, "reason"),
    ],
)
def test_what_is_refused_is_said_at_its_field_and_nothing_is_kept(jana, changes, field):
    refused = jana.post(holding(), ASKED | changes)

    assert list(refused.context["form"].errors) == [field]
    assert not RetentionHold.objects.exists()
    assert not LogEntry.objects.exists()


def test_a_hold_is_released_once_after_a_question(jana, held):
    asked = text_of(jana.get(releasing(held)))
    told = text_of(jana.post(releasing(held), follow=True))

    held.refresh_from_db()
    assert "Invoice 3 is disputed" in asked
    assert (held.released_at, held.released_by_name) == (AT, "jana")
    assert "The hold is released." in told
    assert LogEntry.objects.get().get_change_message() == "Released."


def test_what_somebody_else_has_released_meanwhile_is_said(jana, held):
    release(hold_id=held.pk, by="eva", at=AT)
    shown = jana.get(page("metering_retentionhold_change", held.pk)).content.decode()

    told = text_of(jana.post(releasing(held), follow=True))

    held.refresh_from_db()
    assert releasing(held) not in shown
    assert held.released_by_name == "eva"
    assert not LogEntry.objects.exists()
    assert "The hold is released." not in told


@pytest.mark.parametrize("rights", [(VIEW,), (VIEW, HOLD), (VIEW, RELEASE)])
def test_holding_and_releasing_are_rights_of_their_own(staff, held, rights):
    client = staff(*rights)

    statuses = [client.get(holding()).status_code, client.get(releasing(held)).status_code]

    assert statuses == [200 if HOLD in rights else 403, 200 if RELEASE in rights else 403]


def test_a_row_is_never_edited_or_deleted(jana, held):
    assert jana.post(page("metering_retentionhold_change", held.pk), ASKED).status_code == 403
    assert jana.post(page("metering_retentionhold_delete", held.pk), {"post": "yes"}).status_code == 403
