"""The audit only grows: nobody changes or deletes an entry but retention, on PostgreSQL the database itself refuses."""

from datetime import timedelta

import pytest
from django.db import IntegrityError, connection, transaction

from people.models import AuditEntry
from people.selectors.audit import AuditFilter, entries
from people.services.audit import record
from people.services.retention import prune_audit
from plants.models import User
from tests import factories
from tests.factories import AT

pytestmark = pytest.mark.django_db
ON_POSTGRESQL = connection.vendor == "postgresql"


def act(user, *, action="plan.published", at=AT, **facts):
    return record(user=user, organisation_id=user.organisation_id, action=action, at=at, **facts)


@pytest.fixture
def jana():
    return User.objects.create_user("jana", organisation=factories.organisation())


if ON_POSTGRESQL:  # SQLite is the demo's: there the admin and the services alone hold to it

    @pytest.mark.parametrize(
        "change",
        [
            lambda rows: rows.update(action="nothing.done"),
            lambda rows: rows.update(reason="", user=None),
            lambda rows: rows.delete(),
        ],
    )
    def test_the_database_refuses_to_change_or_delete_an_entry(jana, change):
        entry = act(jana, reason="price")

        with pytest.raises(IntegrityError, match="audit entries are not"), transaction.atomic():
            change(AuditEntry.objects.filter(pk=entry.pk))

        entry.refresh_from_db()
        assert (entry.action, entry.reason) == ("plan.published", "price")


def test_the_entry_of_a_person_who_is_gone_keeps_the_name(jana):
    entry = act(jana)

    jana.delete()

    entry.refresh_from_db()
    assert (entry.user, entry.user_name) == (None, "jana")


def test_retention_drops_what_is_older_and_afterwards_nothing_can_be_deleted_again(jana):
    old, new = act(jana, at=AT - timedelta(days=40)), act(jana)

    dropped = prune_audit(at=AT, keep_days=30)

    assert (dropped, list(AuditEntry.objects.values_list("pk", flat=True))) == (1, [new.pk])
    if ON_POSTGRESQL:
        with pytest.raises(IntegrityError), transaction.atomic():
            AuditEntry.objects.filter(pk=new.pk).delete()
    assert not AuditEntry.objects.filter(pk=old.pk).exists()


def test_pages_stay_put_while_new_entries_come(jana):
    first = [act(jana, subject=str(number)).subject for number in range(5)]

    page, following = entries(of=AuditFilter(organisation_id=jana.organisation_id), limit=2)
    act(jana, subject="new")
    rest, end = entries(of=AuditFilter(organisation_id=jana.organisation_id), before=following, limit=10)

    assert [entry.subject for entry in [*page, *rest]] == first[::-1]
    assert end is None


def test_filters_leave_what_was_asked_for(jana):
    act(jana, action="plan.published", subject="Přerov")
    act(jana, action="planet.saved")
    act(jana, action="command.sent", reason="price", at=AT - timedelta(days=2))
    other = User.objects.create_user("petr", organisation=factories.organisation())
    act(other, action="plan.published")

    def asked(**facts):
        found, _ = entries(of=AuditFilter(organisation_id=jana.organisation_id, **facts))
        return [entry.action for entry in found]

    assert asked(action="plan") == ["plan.published"]
    assert asked(text="PRICE") == ["command.sent"]
    assert asked(since=AT - timedelta(days=1)) == ["planet.saved", "plan.published"]
    assert asked(until=AT - timedelta(days=1)) == ["command.sent"]
    assert asked(user_id=other.pk) == []
