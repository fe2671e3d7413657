"""Replays beside each other, beside people who discard, and beside live traffic: each message counts once."""

import pytest

from link.replay import replay
from plants.models import Alarm, DeadLetter, DeadLetterEvent, InboundMessage, PlantState
from plants.services.dead_letters import discard
from tests import factories
from tests.factories import AT
from tests.link.helpers import RETENTION_DAYS, alarm, hear, mode_event, seconds
from tests.threads import together

pytestmark = pytest.mark.django_db(transaction=True)
UUIDS = [f"7a1d2c3b-4e5f-4a6b-8c7d-{n:012d}" for n in range(4)]


def letters_of_sites_known_now():
    """Alarms and modes of four sites that nobody had entered; the batch that brought them, and the letters' ids."""
    link = factories.connection()
    batch = [message for uuid in UUIDS for message in (mode_event(uuid, "STANDARD"), alarm(uuid, f"a{uuid}"))]
    hear(link, *batch)
    for uuid in UUIDS:
        factories.plant(on=link, voke_uuid=uuid, assets=[])
    return link, batch, list(DeadLetter.objects.values_list("pk", flat=True))


def replayed(ids, who):
    return replay(letter_ids=ids, actor=who, at=AT + seconds(60), retention_days=RETENTION_DAYS)


def test_two_people_who_replay_the_same_letters_at_once_apply_each_once():
    _, batch, ids = letters_of_sites_known_now()

    answers = together(lambda: replayed(ids, "jana"), lambda: replayed(ids, "petr"))

    assert not [one for one in answers if isinstance(one, Exception)]
    assert InboundMessage.objects.count() == len(batch)
    assert DeadLetterEvent.objects.count() == len(ids)
    assert Alarm.objects.count() == len(UUIDS)
    assert set(DeadLetter.objects.values_list("state", flat=True)) == {"REPLAYED"}


def test_a_replay_beside_the_same_messages_from_the_broker_neither_deadlocks_nor_counts_twice():
    link, batch, ids = letters_of_sites_known_now()

    answers = together(
        lambda: replayed(ids, "jana"),
        lambda: [hear(link, *batch[::-1]), hear(link, *batch)],
        lambda: replayed(ids[::-1], "petr"),
    )

    assert not [one for one in answers if isinstance(one, Exception)]
    assert InboundMessage.objects.count() == len(batch)
    assert PlantState.objects.filter(mode="STANDARD").count() == len(UUIDS)
    assert set(DeadLetter.objects.values_list("state", "count")) == {("REPLAYED", 1)}


def test_letters_that_are_discarded_while_they_come_again_end_in_one_of_both_states():
    link = factories.connection()
    batch = [alarm(uuid, f"a{uuid}") for uuid in UUIDS]
    hear(link, *batch)
    ids = list(DeadLetter.objects.values_list("pk", flat=True))

    answers = together(
        lambda: discard(letter_ids=ids, actor="jana", note="noise", at=AT),
        lambda: hear(link, *batch[::-1]),
        lambda: replayed(ids, "petr"),
    )

    assert not [one for one in answers if isinstance(one, Exception)]
    assert set(DeadLetter.objects.values_list("count", flat=True)) == {2}
    assert set(DeadLetter.objects.values_list("state", flat=True)) <= {"OPEN", "DISCARDED"}


def test_letters_that_come_again_in_different_numbers_beside_somebody_who_discards_do_not_deadlock():
    """Locked group by group, two batches took the same letters in different orders."""
    link = factories.connection()
    one, two = alarm(UUIDS[0], "one"), alarm(UUIDS[1], "two")
    hear(link, one, two)
    ids = list(DeadLetter.objects.values_list("pk", flat=True))

    answers = together(
        lambda: [hear(link, one, two, two) for _ in range(15)],
        lambda: [hear(link, one, one, two) for _ in range(15)],
        lambda: [discard(letter_ids=ids, actor="jana", note="noise", at=AT) for _ in range(15)],
    )

    assert not [one for one in answers if isinstance(one, Exception)]
    assert list(DeadLetter.objects.values_list("count", flat=True)) == [46, 46]
