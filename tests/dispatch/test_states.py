"""The table of a command's life, against an expectation written from the architecture page and not from the code.

Each rule below is one sentence of "A command's life" as (from, to) pairs; whatever no sentence allows must be refused.
"""

from itertools import product

import pytest

from dispatch.states import BEFORE_SENT, FINAL, OPEN, State, Verdict, judge

WHILE_NOTHING_WAS_SENT = {"SCHEDULED", "QUEUED"}
NEVER_SENT = {"CANCELLED", "SUPERSEDED", "EXPIRED"}
ACKS = {"ACCEPTED", "QUEUED_BY_VOKE", "PARTIAL", "REJECTED"}
OUTCOMES = {"COMPLETED", "DEVIATED", "FAILED"}
WORDS_OF_VOKE = ACKS | OUTCOMES | {"EXECUTING"}
WAITING_FOR_EXECUTION = {"SENT", "ACCEPTED", "QUEUED_BY_VOKE", "PARTIAL", "UNCONFIRMED"}

RULES = {
    "built and signed when due": {("SCHEDULED", "QUEUED")},
    "confirmed and routed": {("QUEUED", "SENT")},
    "taken back or over before any attempt": set(product(WHILE_NOTHING_WAS_SENT, NEVER_SENT)),
    "unroutable or refused by the broker": {("QUEUED", "RETURNED"), ("QUEUED", "REFUSED")},
    "never confirmed, or no ACK in time": {("QUEUED", "UNCONFIRMED"), ("SENT", "UNCONFIRMED")},
    "acknowledged": set(product({"SENT"}, ACKS)),
    "a reply overtakes our bookkeeping": set(product({"QUEUED"}, WORDS_OF_VOKE)),
    "a late word of Voke corrects our presumption": set(product({"UNCONFIRMED"}, WORDS_OF_VOKE)),
    "a late word of Voke is better evidence than the broker's refusal of a repeated attempt": set(
        product({"RETURNED", "REFUSED"}, WORDS_OF_VOKE)
    ),
    "the real answer of a site that was offline": set(
        product({"QUEUED_BY_VOKE"}, {"ACCEPTED", "PARTIAL", "REJECTED"})
    ),
    "executing, or straight to the end": set(product(WAITING_FOR_EXECUTION, OUTCOMES | {"EXECUTING"})),
    "the end of an execution": set(product({"EXECUTING"}, OUTCOMES)),
    "a deviation may still be settled": {("DEVIATED", "COMPLETED"), ("DEVIATED", "FAILED")},
}
ALLOWED = set().union(*RULES.values())
ENDS = {"REJECTED", "COMPLETED", "FAILED", "CANCELLED", "SUPERSEDED", "EXPIRED"}


def expected(current, word):
    if (current, word) in ALLOWED:
        return "APPLIED"
    return "DUPLICATE" if current == word else "STALE"


def test_there_are_seventeen_states():
    assert len(State) == 17


@pytest.mark.parametrize(
    ("current", "word"), [pytest.param(*pair, id="-".join(pair)) for pair in product(State, State)]
)
def test_a_word_does_to_a_state_what_the_architecture_says(current, word):
    assert judge(current, word) == expected(current.value, word.value)


@pytest.mark.parametrize("end", sorted(ENDS))
def test_nothing_moves_a_final_state(end):
    verdicts = {judge(State(end), word) for word in State if word != end}

    assert verdicts == {Verdict.STALE}


def test_the_final_states_are_the_six_ends_and_all_others_are_open():
    assert {state.value for state in FINAL} == ENDS
    assert set(State) == FINAL | OPEN
    assert not FINAL & OPEN


def test_nothing_leads_back_to_the_time_before_sending():
    assert not [pair for pair in ALLOWED if pair[1] in {"SCHEDULED"}]
    assert {pair[0] for pair in ALLOWED if pair[1] == "QUEUED"} == {"SCHEDULED"}
    assert {judge(state, State.SCHEDULED) for state in State if state is not State.SCHEDULED} == {
        Verdict.STALE
    }


def test_only_commands_before_sending_can_end_as_never_sent():
    movable = {
        state for state in State for word in NEVER_SENT if judge(state, State(word)) is Verdict.APPLIED
    }

    assert movable == BEFORE_SENT


def test_every_state_can_be_reached_from_the_first_one():
    reached, frontier = {State.SCHEDULED}, {State.SCHEDULED}
    while frontier:
        frontier = {
            word for state in frontier for word in State if judge(state, word) is Verdict.APPLIED
        } - reached
        reached |= frontier

    assert reached == set(State)
