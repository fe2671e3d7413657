"""The journal of link states: one row for each stretch of the same word, so that a hole can be explained later."""

from datetime import timedelta

import pytest

from plants.models import LinkHealth, LinkSpan, LinkState
from plants.services.link_health import note_link
from plants.services.link_spans import BRIDGED, KEPT_FOR, PRUNED_AT_ONCE, prune_spans
from tests import factories
from tests.factories import AT

pytestmark = pytest.mark.django_db
CONSUME = LinkHealth.Role.CONSUME


def at(seconds):
    return AT + timedelta(seconds=seconds)


@pytest.fixture
def link():
    return factories.connection()


def say(link, state, seconds, *, holder="one", code=""):
    note_link(
        connection_id=link.pk, role=CONSUME, state=state, at=at(seconds), holder=holder, error_code=code
    )


def spans():
    """(state, from, until) in seconds."""
    return [
        (one.state, (one.from_at - AT).total_seconds(), (one.until_at - AT).total_seconds())
        for one in LinkSpan.objects.order_by("from_at", "pk")
    ]


def test_heartbeats_with_the_same_word_are_one_span(link):
    for second in range(0, 61, 5):
        say(link, LinkState.CONNECTED, second)

    assert spans() == [("CONNECTED", 0, 60)]


def test_a_new_word_begins_a_new_span_where_the_old_one_ends(link):
    say(link, LinkState.CONNECTED, 0)
    say(link, LinkState.DOWN, 4, code="CONNECTION_LOST")
    say(link, LinkState.CONNECTED, 9)

    assert spans() == [("CONNECTED", 0, 4), ("DOWN", 4, 9), ("CONNECTED", 9, 9)]


def test_another_reason_for_the_same_state_is_a_span_of_its_own(link):
    say(link, LinkState.DOWN, 0, code="DNS")
    say(link, LinkState.DOWN, 5, code="TLS")

    assert [one.error_code for one in LinkSpan.objects.all()] == ["DNS", "TLS"]


def test_a_process_that_did_not_speak_for_long_may_have_been_dead(link):
    say(link, LinkState.CONNECTED, 0)
    say(link, LinkState.CONNECTED, BRIDGED.total_seconds() + 1)

    assert spans() == [("CONNECTED", 0, 0), ("CONNECTED", 31, 31)]


def test_two_processes_of_one_connection_do_not_touch_each_others_spans(link):
    say(link, LinkState.CONNECTED, 0)
    say(link, LinkState.DOWN, 1, holder="two")
    say(link, LinkState.CONNECTED, 5)

    assert spans() == [("CONNECTED", 0, 5), ("DOWN", 1, 1)]


def test_a_word_that_comes_out_of_order_moves_no_span_back(link):
    say(link, LinkState.CONNECTED, 10)
    say(link, LinkState.CONNECTED, 5)

    assert spans() == [("CONNECTED", 10, 10)]


def test_old_spans_are_forgotten_a_bounded_number_at_once(link):
    old = AT - KEPT_FOR - timedelta(seconds=1)
    LinkSpan.objects.bulk_create(
        LinkSpan(connection=link, role=CONSUME, holder="one", state=LinkState.DOWN, from_at=old, until_at=old)
        for _ in range(PRUNED_AT_ONCE + 1)
    )
    say(link, LinkState.CONNECTED, 0)

    assert prune_spans(at=AT) == PRUNED_AT_ONCE
    assert prune_spans(at=AT) == 1
    assert prune_spans(at=AT) == 0
    assert spans() == [("CONNECTED", 0, 0)]
