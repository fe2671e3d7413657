"""The judge is able to convict: forged evidence of each kind is counted, and honest evidence is not."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.faults.evidence import Arrival, CommandFact, Evidence, MessageFact, Told
from tests.faults.verdict import Count, demanded, judge, summary

AT = datetime(2026, 1, 2, 3, 0, tzinfo=UTC)
PLANT = "7a1d2c3b-4e5f-4a6b-8c7d-9e0f1a2b3c4d"


def second(count: float) -> datetime:
    return AT + timedelta(seconds=count)


def command(number: int, state: str = "ACCEPTED", **changes) -> CommandFact:
    facts = {
        "command_id": number,
        "plant": PLANT,
        "kind": "site-setpoint",
        "state": state,
        "word": state,
        "cause": "ACK",
        "from_voke": True,
        "has_inbound": True,
    }
    return CommandFact(**(facts | changes))


def message(number: int, **changes) -> MessageFact:
    facts = {
        "message_id": f"m{number}",
        "correlation_id": f"c{number}",
        "command_id": number,
        "plant": PLANT,
        "sha256": f"bytes of {number}",
        "outcome": "CONFIRMED",
        "made_at": AT,
        "deliver_by_at": second(10),
    }
    return MessageFact(**(facts | changes))


def arrival(number: int, *, place: int | None = None, at: float = 1.0, **changes) -> Arrival:
    facts = {
        "vhost": "partner-1",
        "place": number if place is None else place,
        "message_id": f"m{number}",
        "sha256": f"bytes of {number}",
        "routing_key": "acme.command.site-setpoint",
        "site_id": PLANT,
        "redelivered": False,
        "not_before": second(at),
        "by": second(at + 0.1),
    }
    return Arrival(**(facts | changes))


def event(number: int, family: str = "event.command.ack") -> Told:
    return Told(
        message_id=f"e{number}",
        correlation_id=f"c{number}",
        family=family,
        plant=PLANT,
        created_at=f"2026-01-02T03:00:0{number}.000Z",
        confirmed_at=f"2026-01-02T03:00:0{number}.500Z",
    )


def honest(*numbers: int, **changes) -> Evidence:
    """Commands that were asked, sent, heard, carried out and answered, once each."""
    facts = {
        "replay_margin": timedelta(seconds=30),
        "asked": numbers,
        "commands": [command(number) for number in numbers],
        "messages": [message(number) for number in numbers],
        "arrivals": [arrival(number) for number in numbers],
        "told": [event(number) for number in numbers],
        "effects": {f"m{number}": 1 for number in numbers},
        "heard": frozenset(f"m{number}" for number in numbers),
        "inbound": Counter(f"e{number}" for number in numbers),
    }
    return Evidence(**(facts | changes))


def counts(evidence: Evidence) -> list[Count]:
    return [violation.count for violation in judge(evidence)]


def test_honest_evidence_has_no_violation():
    evidence = honest(1, 2, 3)

    violations = judge(evidence)

    assert (violations, summary(violations)) == ([], "lost 0, doubled 0, late 0")


def test_the_last_line_counts_each_kind():
    evidence = replace(
        honest(1, 2), effects={"m1": 2}, inbound=Counter(["e1"]), arrivals=[arrival(1), arrival(2, at=12)]
    )

    line = summary(judge(evidence))

    assert line == "lost 1, doubled 1, late 1"


def test_a_command_that_vanished_is_lost():
    assert counts(honest(1, asked=(1, 2))) == [Count.LOST]


@pytest.mark.parametrize(
    "broken",
    [
        command(1, word="SENT"),
        command(1, cause=""),
        command(1, word="", cause=""),
        command(1, has_inbound=False),
    ],
    ids=["another state", "no cause", "no event", "no message of Voke's"],
)
def test_a_state_without_evidence_is_lost(broken):
    assert counts(honest(1, commands=[broken])) == [Count.LOST]


def test_a_command_that_waits_for_ever_is_lost():
    waiting = command(1, "QUEUED", from_voke=False)

    assert counts(honest(1, commands=[waiting], told=[])) == [Count.LOST]


def test_a_confirmed_message_that_the_broker_never_had_is_lost():
    assert counts(honest(1, arrivals=[])) == [Count.LOST]


@pytest.mark.parametrize("outcome, count", [("REPLACED", Count.DOUBLED), ("WITHDRAWN", Count.LATE)])
def test_a_message_said_never_sent_that_was_sent_counts(outcome, count):
    assert counts(honest(1, messages=[message(1, outcome=outcome)])) == [count]


@pytest.mark.parametrize("state", ["EXPIRED", "SUPERSEDED", "CANCELLED"])
def test_a_command_said_never_sent_that_was_sent_is_late(state):
    said = command(1, state, from_voke=False)

    assert counts(honest(1, commands=[said])) == [Count.LATE]


@pytest.mark.parametrize("state", ["SENT", "UNCONFIRMED"])
def test_an_answer_that_did_not_reach_its_command_is_lost(state):
    unanswered = command(1, state, from_voke=False)

    assert counts(honest(1, commands=[unanswered])) == [Count.LOST]


def test_an_answer_in_a_dead_letter_is_kept():
    unanswered = command(1, "UNCONFIRMED", from_voke=False)

    assert counts(honest(1, commands=[unanswered], inbound=Counter(), letters=frozenset({"e1"}))) == []


def test_a_changed_byte_is_doubled():
    evidence = honest(1, arrivals=[arrival(1), arrival(1, place=2, sha256="other bytes")])

    assert counts(evidence) == [Count.DOUBLED]


def test_a_message_that_is_not_in_the_outbox_is_lost():
    evidence = honest(1, arrivals=[arrival(1), arrival(9)], heard=frozenset({"m1", "m9"}))

    assert counts(evidence) == [Count.LOST]


def test_a_second_effect_of_one_message_is_doubled():
    assert counts(honest(1, effects={"m1": 2})) == [Count.DOUBLED]


def two_messages_of(one: CommandFact) -> Evidence:
    again = message(2, command_id=1)
    return honest(
        1,
        commands=[one],
        messages=[message(1), again],
        arrivals=[arrival(1), arrival(2)],
        heard=frozenset({"m1", "m2"}),
        effects={"m1": 1, "m2": 1},
    )


def test_two_messages_of_one_command_with_an_effect_each_are_doubled():
    assert counts(two_messages_of(command(1))) == [Count.DOUBLED]


def test_an_emergency_may_be_issued_again():
    assert counts(two_messages_of(command(1, kind="emergency", emergency="STOP"))) == []


@pytest.mark.parametrize("at", [11.5, 45])
def test_a_message_at_the_broker_after_its_deliver_by_or_replay_margin_is_late(at):
    limits = 10 if at < 30 else 60

    evidence = honest(1, messages=[message(1, deliver_by_at=second(limits))], arrivals=[arrival(1, at=at)])

    assert counts(evidence) == [Count.LATE]


def test_a_second_arrival_after_the_deliver_by_is_late_too():
    assert counts(honest(1, arrivals=[arrival(1), arrival(1, place=2, at=20)])) == [Count.LATE]


def stopped(*, first: int, stop: int, release: int | None = None, after: int | None = None) -> Evidence:
    """Command 1, STOP 2, its release 3 and command 4 at the broker, at these places."""
    places = {1: first, 2: stop} | ({3: release} if release else {}) | ({4: after} if after else {})
    commands = [command(number) for number in places]
    commands[1] = command(2, kind="emergency", emergency="STOP", released_by=3 if release else None)
    return honest(
        *places, commands=commands, arrivals=[arrival(n, place=place) for n, place in places.items()]
    )


def test_a_setpoint_before_its_stop_is_fine():
    assert counts(stopped(first=1, stop=2, release=3, after=4)) == []


def test_a_setpoint_after_a_stop_is_late():
    assert counts(stopped(first=2, stop=1)) == [Count.LATE]


def test_a_setpoint_from_before_the_stop_is_late_also_after_the_release():
    assert counts(stopped(first=4, stop=1, release=2)) == [Count.LATE]


def test_a_command_before_the_release_that_it_followed_is_late():
    assert counts(stopped(first=1, stop=2, release=4, after=3)) == [Count.LATE]


def test_a_stop_that_comes_first_after_its_release_is_late():
    assert counts(stopped(first=1, stop=3, release=2)) == [Count.LATE]


def test_a_resent_message_is_judged_by_its_first_arrival():
    evidence = stopped(first=1, stop=2)

    assert counts(replace(evidence, arrivals=[*evidence.arrivals, arrival(1, place=3)])) == []


def test_across_vhosts_only_what_certainly_came_later_counts():
    evidence = stopped(first=1, stop=2)
    moved = {at: arrival(1, place=9, vhost="partner-2", at=at) for at in (1.05, 3.0)}

    found = {at: counts(replace(evidence, arrivals=[one, arrival(2)])) for at, one in moved.items()}

    assert found == {1.05: [], 3.0: [Count.LATE]}


def test_what_the_broker_took_on_an_old_key_before_it_was_retired_is_demanded_and_nothing_after_that():
    told = [event(1), event(2), replace(event(3), created_at=event(1).created_at)]

    assert demanded(told, retired_at=second(2.501)) == told[:2]
    assert demanded(told, retired_at=second(2.5)) == told[:1]
    assert demanded(told, retired_at=None) == told


@pytest.mark.parametrize("family", ["event.execution", "event.telemetry.realtime", "event.telemetry.meter"])
def test_an_event_that_is_not_stored_is_lost(family):
    assert counts(honest(1, told=[event(1), event(2, family)])) == [Count.LOST]


def test_stored_readings_are_kept():
    stamp = (PLANT, "2026-01-02T03:00:02.000Z")
    told = [event(2, "event.telemetry.realtime"), event(2, "event.telemetry.meter")]

    assert counts(honest(1, told=told, realtime=frozenset({stamp}), meters=frozenset({stamp}))) == []


def test_an_event_in_two_rows_is_doubled():
    assert counts(honest(1, inbound=Counter(["e1", "e1"]))) == [Count.DOUBLED]


def test_a_message_that_the_stand_in_never_heard_is_lost():
    assert counts(honest(1, heard=frozenset())) == [Count.LOST]
