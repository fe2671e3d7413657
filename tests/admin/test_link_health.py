"""How a connection's link is shown in the admin: in the list, on its page, on the first page."""

from datetime import timedelta

import pytest

from dispatch.services.site_config import publish_changed
from plants.models import Connection, ConnectionMode, LinkHealth, LinkState, StreamHealth
from plants.services.link_health import Holding, StreamNote, note_link, note_streams
from tests import factories
from tests.admin.pages import page, text_of
from tests.factories import AT

pytestmark = pytest.mark.django_db


def test_the_list_tells_the_health_of_both_halves_and_the_outbox_in_words(jana):
    link = factories.connection()
    factories.plant(on=link)
    publish_changed(at=AT - timedelta(minutes=14), policy=factories.policy())
    roles = LinkHealth.Role
    for role, state, error in (
        (roles.PUBLISH, LinkState.CONNECTED, ""),
        (roles.CONSUME, LinkState.REFUSED, "ACCESS_REFUSED: the broker refused the login"),
    ):
        note_link(connection_id=link.pk, role=role, state=state, at=AT - timedelta(seconds=4), error=error)
    LinkHealth.objects.update(since=AT - timedelta(hours=2))

    shown = text_of(jana.get(page("plants_connection_changelist")))

    assert "Connected for 2 h" in shown
    assert "Refused for 2 h The broker refused the login" in shown
    assert "3 messages oldest waits 14 min" in shown


def test_health_that_nobody_renews_is_not_shown_as_the_present(jana):
    link = factories.connection()
    note_link(
        connection_id=link.pk,
        role=LinkHealth.Role.CONSUME,
        state=LinkState.CONNECTED,
        at=AT - timedelta(minutes=5),
    )

    shown = text_of(jana.get(page("plants_connection_changelist")))

    assert "No process last heard of 5 min ago" in shown


def test_the_page_of_a_silent_connection_says_what_it_means_and_what_to_do(jana):
    """The broker-federation trap: everything is connected, and nothing ever arrives."""
    link = factories.plant().connection
    for role in LinkHealth.Role:
        note_link(connection_id=link.pk, role=role, state=LinkState.CONNECTED, at=AT - timedelta(minutes=6))
        note_link(connection_id=link.pk, role=role, state=LinkState.CONNECTED, at=AT)

    shown = text_of(jana.get(page("plants_connection_change", link.pk)))
    listed = text_of(jana.get(page("plants_connection_changelist")))

    assert "Connected, and nothing at all has ever arrived" in shown
    assert "What to do: Ask Voke's administrator to check the federation" in shown.replace("&#x27;", "'")
    assert "Silent for 6 min Connected, and nothing at all has ever arrived" in listed


def test_a_slow_database_is_shown_as_such_with_what_waits(jana):
    link = factories.plant(on=factories.connection(mode=ConnectionMode.OBSERVE)).connection
    since = AT - timedelta(minutes=2)
    note_link(
        connection_id=link.pk,
        role=LinkHealth.Role.CONSUME,
        state=LinkState.CONNECTED,
        at=AT,
        holding=Holding(heard_until=since, unstored_since=since, unstored_count=12),
    )

    listed = text_of(jana.get(page("plants_connection_changelist")))
    shown = text_of(jana.get(page("plants_connection_change", link.pk)))
    first = text_of(jana.get("/admin/"))

    assert "Slow for 2 min 12 messages wait to be stored, the oldest for 2 min" in listed
    assert "What to do: Look at PostgreSQL, not at Voke" in shown
    assert "12 messages wait to be stored, the oldest for 2 min" in shown
    assert "1 link whose messages are stored too slowly" in first


def test_an_old_connection_tells_why_it_still_drains(jana):
    old = factories.connection()
    facts = {"draining_code": "DRAINING_UNREAD", "draining_note": "7 at the last look"}
    Connection.objects.filter(pk=old.pk).update(
        succeeded_by=factories.connection(owner=old.organisation), handed_over_at=AT, **facts
    )

    listed = text_of(jana.get(page("plants_connection_changelist")))
    shown = text_of(jana.get(page("plants_connection_change", old.pk)))

    assert "Draining: its queues are not read to the end (7 at the last look)" in listed
    assert "Draining: its queues are not read to the end (7 at the last look)" in shown
    assert "What to do: Nothing while the number falls" in shown


def test_an_old_connection_that_left_messages_unread_tells_it_when_it_is_retired(jana):
    old = factories.connection(retired_at=AT)
    Connection.objects.filter(pk=old.pk).update(
        draining_code="TAKEOVER_UNREAD", draining_note="12 messages at the last look"
    )

    listed = text_of(jana.get(page("plants_connection_changelist")))

    assert "Retired Retired with messages unread (12 messages at the last look)" in listed


def test_the_page_tells_last_error_its_advice_streams_and_clocks(jana):
    link = factories.plant(on=factories.connection(mode=ConnectionMode.OBSERVE)).connection
    note_link(
        connection_id=link.pk,
        role=LinkHealth.Role.CONSUME,
        state=LinkState.REFUSED,
        at=AT,
        error="the broker refused the vhost",
        error_code="REFUSED_VHOST",
    )
    note = StreamNote(
        stream=StreamHealth.Stream.REALTIME,
        last_at=AT - timedelta(minutes=2),
        last_sent_at=AT,
        period_s=5.0,
        skew_ms=42_000,
    )
    note_streams(connection_id=link.pk, notes=[note])

    shown = text_of(jana.get(page("plants_connection_change", link.pk)))

    assert "Virtual host refused" in shown
    assert "Last error 0 s ago: The broker refused the vhost What to do: Compare the vhost" in shown
    assert "Publishing Not wanted" in shown
    assert "Realtime telemetry 2 min ago Expected every 5.0 s (learnt)" in shown
    assert "Timestamps are 42.0 s behind our clock" in shown


def test_a_retired_connection_is_said_to_be_retired_and_nothing_else(jana):
    factories.connection(retired_at=AT)

    assert "Retired Not wanted Not wanted" in text_of(jana.get(page("plants_connection_changelist")))


def test_the_first_page_counts_links_that_need_a_person(jana):
    down, silent = factories.connection(), factories.plant().connection
    for role in LinkHealth.Role:
        note_link(connection_id=silent.pk, role=role, state=LinkState.CONNECTED, at=AT - timedelta(minutes=6))
        note_link(connection_id=silent.pk, role=role, state=LinkState.CONNECTED, at=AT)
    before = text_of(jana.get("/admin/"))

    Connection.objects.filter(pk=down.pk).update(retired_at=AT)
    after = text_of(jana.get("/admin/"))

    assert "1 link down or refused 1 connected and silent." in before
    assert "1 connected and silent Each connection says why" in after
