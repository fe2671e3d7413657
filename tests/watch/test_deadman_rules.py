"""The dead-man rules as functions of facts and time, and how findings become alarms: no database."""

from datetime import timedelta

import pytest

from tests.factories import AT
from tests.watch.worlds import LIMITS, ack, link, meters, tick, with_limits
from watch.deadman import RULES, Known, decide, findings
from watch.facts import Facts, LetterFact, OutboxFact, PullFact
from watch.models import Severity


def minutes(count: float) -> timedelta:
    return timedelta(minutes=count)


def found(at=AT, limits=LIMITS, **facts):
    return {one.key: one for one in findings(RULES, Facts(**facts), at=at, limits=limits)}


def raised(at=AT, limits=LIMITS, **facts):
    return {key for key, one in found(at, limits, **facts).items() if one.raises}


def test_an_installation_without_anything_is_calm():
    assert found() == {}


# --- link -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "code", "severity"),
    [
        ("DOWN", "LINK_DOWN", Severity.ERROR),
        ("CONNECTING", "LINK_DOWN", Severity.ERROR),
        ("REFUSED", "LINK_REFUSED", Severity.ERROR),
        ("SLOW", "LINK_SLOW", Severity.ERROR),
        ("BLOCKED", "LINK_BLOCKED", Severity.WARNING),
        ("SILENT", "LINK_SILENT", Severity.WARNING),
    ],
)
def test_each_state_of_a_broken_link_has_its_code_and_the_grace_of_the_settings(state, code, severity):
    (one,) = found(links=(link(state),)).values()

    assert (one.code, one.severity, one.after, one.connection_id) == (code, severity, LIMITS.link_grace, 7)


def test_a_link_that_is_connected_is_fine():
    assert found(links=(link("CONNECTED"),)) == {}


def test_the_alarm_of_a_link_says_since_when_and_what_to_do():
    (one,) = found(links=(link("REFUSED", since=AT),)).values()

    assert one.message == "key 7: user name or API key refused since 2 Jan 03:00 UTC. Ask Voke."


def test_clocks_that_differ_too_much_are_found_and_kept_until_they_are_well_below():
    just_over, below, fine = (link("CONNECTED", skew_ms=ms) for ms in (-31_000, 25_000, 23_000))

    assert raised(links=(just_over,)) == {"CLOCK_SKEW:7"}
    assert (raised(links=(below,)), set(found(links=(below,)))) == (set(), {"CLOCK_SKEW:7"})
    assert found(links=(fine,)) == {}


# --- commands ---------------------------------------------------------------------------------------------------------


def test_answers_that_may_wait_to_be_stored_raise_no_alarm_and_end_none():
    slow = (link("SLOW", code="STORING_SLOWLY"),)
    kept = found(links=slow, acks=(ack(unanswered=LIMITS.no_ack_count),))

    assert {key: one.raises for key, one in kept.items()} == {"LINK:7": True, "NO_ACK:7": False}


def test_enough_commands_without_any_answer_are_an_alarm():
    assert raised(acks=(ack(unanswered=3),)) == {"NO_ACK:7"}


def test_too_few_commands_or_a_single_answer_are_none():
    assert raised(acks=(ack(unanswered=2),)) == set()
    assert raised(acks=(ack(unanswered=9, answered=1),)) == set()


def test_the_alarm_is_kept_when_nobody_sends_any_more_and_ends_with_an_answer():
    nobody_sends = ack(unanswered=0, last_unanswered_at=AT - minutes(60))
    answered = ack(unanswered=0, last_unanswered_at=AT - minutes(60), last_answered_at=AT - minutes(1))

    assert set(found(acks=(nobody_sends,))) == {"NO_ACK:7"}
    assert found(acks=(answered,)) == {}


def test_a_message_that_waits_too_long_is_found():
    def waiting(age_s):
        oldest = AT - timedelta(seconds=age_s)
        return (OutboxFact(connection_id=7, name="key 7", oldest_at=oldest, count=1),)

    assert raised(outboxes=waiting(61)) == {"OUTBOX_OLD:7"}
    assert (raised(outboxes=waiting(40)), set(found(outboxes=waiting(40)))) == (set(), {"OUTBOX_OLD:7"})
    assert found(outboxes=waiting(20)) == {}


# --- what should arrive -----------------------------------------------------------------------------------------------


def test_a_few_plants_without_meter_rows_have_an_alarm_each():
    assert raised(meters=(meters(known=10, silent=2),)) == {"NO_METER_ROW:7:1", "NO_METER_ROW:7:2"}


def test_many_plants_without_meter_rows_are_one_alarm_of_the_connection():
    (one,) = found(meters=(meters(known=10, silent=6),)).values()

    assert (one.key, one.severity, one.plant_id) == ("NO_METER_ROW:7", Severity.WARNING, None)
    assert "6 of 10 plants have no new meter row" in one.message


@pytest.mark.parametrize("code", ["STORING_SLOWLY", "DATABASE_AWAY"])
@pytest.mark.parametrize("silent", [1, 6], ids=["of a plant", "of the connection"])
def test_missing_meter_rows_are_not_blamed_on_voke_while_the_database_takes_nothing(code, silent):
    (one,) = (
        one
        for key, one in found(
            links=(link("SLOW", code=code),), meters=(meters(known=9, silent=silent),)
        ).items()
        if key.startswith("NO_METER_ROW")
    )

    assert one.message.endswith("What arrives is not stored: look at the database first.")


def test_a_connection_none_of_whose_plants_reports_meters_is_worse():
    (one,) = found(meters=(meters(known=2, silent=2),)).values()

    assert (one.key, one.severity) == ("NO_METER_ROW:7", Severity.ERROR)
    assert "no plant has any new meter row" in one.message


def test_dead_letters_are_an_alarm_above_the_limit_and_kept_above_half_of_it():
    def letters(count):
        return (LetterFact(connection_id=7, name="key 7", count=count),)

    assert raised(letters=letters(11)) == {"DEAD_LETTERS:7"}
    assert (raised(letters=letters(6)), set(found(letters=letters(6)))) == (set(), {"DEAD_LETTERS:7"})
    assert found(letters=letters(5)) == {}


def pull(last=None, issued=10_000, gap=None):
    return (
        PullFact(
            organisation_id=3,
            name="Acme",
            issued_at=AT - minutes(issued),
            last_pull_at=None if last is None else AT - minutes(last),
            usual_gap=None if gap is None else minutes(gap),
        ),
    )


@pytest.mark.parametrize(
    ("facts", "is_found"),
    [
        (pull(last=119), False),
        (pull(last=121), True),
        (pull(last=300, gap=110), False),
        (pull(last=331, gap=110), True),
        (pull(last=60 * 49, gap=60 * 24 * 9), True),
        (pull(issued=1439), False),
        (pull(issued=1441), True),
    ],
    ids=[
        "pulled of late",
        "not for two hours",
        "pulls seldom",
        "pulls seldom, and has stopped",
        "a habit of weeks excuses two days at most",
        "new credentials",
        "never pulled in a day",
    ],
)
def test_an_organisation_that_voke_does_not_pull(facts, is_found):
    assert (raised(pulls=facts) == {"NO_PULL:3"}) is is_found


# --- ourselves --------------------------------------------------------------------------------------------------------


def test_a_tick_is_overdue_after_three_periods_and_never_before_15_s():
    alive = tick("queue_due", period_s=1, finished_s_ago=0)

    def late(period_s, s_ago):
        return raised(ticks=(alive, tick("late", period_s=period_s, finished_s_ago=s_ago)))

    assert (late(1, 15), late(1, 16)) == (set(), {"TICK_OVERDUE:late"})
    assert (late(300, 900), late(300, 901)) == (set(), {"TICK_OVERDUE:late"})


def test_a_tick_that_always_fails_is_overdue_and_says_of_what():
    alive = tick("queue_due", period_s=1, finished_s_ago=0)

    (one,) = found(
        ticks=(alive, tick("journal", period_s=5, finished_s_ago=60, error="IntegrityError"))
    ).values()

    assert "it fails with IntegrityError" in one.message


def test_a_tick_that_has_never_run_counts_from_its_first_sight():
    alive = tick("queue_due", period_s=1, finished_s_ago=0)

    assert raised(ticks=(alive, tick("new", period_s=5, finished_s_ago=None, since_s_ago=15))) == set()
    assert raised(ticks=(alive, tick("new", period_s=5, finished_s_ago=None, since_s_ago=16))) == {
        "TICK_OVERDUE:new"
    }


def test_when_nothing_runs_by_the_clock_that_is_one_alarm():
    (one,) = found(ticks=tuple(tick(name, period_s=1, finished_s_ago=31) for name in "abc")).values()

    assert (one.key, one.severity, one.connection_id) == ("TICKS_SILENT", Severity.CRITICAL, None)


def test_a_rule_whose_limit_is_nothing_is_off():
    off = with_limits(
        no_ack_within=minutes(0), no_pull_for=minutes(0), first_pull_within=minutes(0), no_meter_for=minutes(0),
        link_grace=minutes(0), dead_letters_within=minutes(0), clock_skew=minutes(0), outbox_age=minutes(0),
    )  # fmt: skip
    outbox = OutboxFact(connection_id=7, name="key 7", oldest_at=AT - minutes(99), count=1)

    facts = {
        "links": (link("DOWN", skew_ms=99_000),),
        "acks": (ack(unanswered=9),),
        "letters": (LetterFact(connection_id=7, name="key 7", count=99),),
        "outboxes": (outbox,),
        "meters": (meters(known=1, silent=1),),
        "pulls": (*pull(last=9999), *pull()),
    }

    assert found(limits=off, **facts) == {}
    assert len(found(**facts)) == 7


# --- from findings to alarms ------------------------------------------------------------------------------------------


def known(*, first=0.0, last=0.0, said=None):
    return {
        "LINK:7": Known(key="LINK:7", first_at=AT + minutes(first), last_at=AT + minutes(last), said=said)
    }


def finding():
    return list(found(links=(link("DOWN"),)).values())


SAID = ("LINK_DOWN", "ERROR", finding()[0].message)


def test_what_is_found_is_an_alarm_only_when_it_lasted():
    first = decide({}, finding(), at=AT, limits=LIMITS)
    later = decide(known(), finding(), at=AT + LIMITS.link_grace, limits=LIMITS)

    assert (len(first.begin), first.tell) == (1, [])
    assert (later.begin, later.touch, len(later.tell)) == ([], ["LINK:7"], 1)


def test_what_needs_not_last_is_an_alarm_at_once():
    decision = decide({}, list(found(acks=(ack(unanswered=3),)).values()), at=AT, limits=LIMITS)

    assert (len(decision.begin), len(decision.tell)) == (1, 1)


def test_an_alarm_is_told_once_and_again_when_it_says_something_else():
    same = decide(known(said=SAID), finding(), at=AT + minutes(9), limits=LIMITS)
    other = decide(known(said=("LINK_SILENT", "WARNING", "x")), finding(), at=AT + minutes(9), limits=LIMITS)

    assert (same.tell, same.touch) == ([], ["LINK:7"])
    assert len(other.tell) == 1


def test_an_alarm_is_cleared_after_the_quiet_time_and_not_before():
    quiet = LIMITS.clear_after

    before = decide(known(said=SAID), [], at=AT + quiet - timedelta(seconds=1), limits=LIMITS)
    after = decide(known(said=SAID), [], at=AT + quiet, limits=LIMITS)

    assert (before.clear, before.forget) == ([], [])
    assert (after.clear, after.forget) == (["LINK:7"], ["LINK:7"])


def test_a_suspicion_that_never_became_an_alarm_is_forgotten_without_a_word():
    decision = decide(known(), [], at=AT + LIMITS.clear_after, limits=LIMITS)

    assert (decision.clear, decision.forget) == ([], ["LINK:7"])


def test_a_weak_finding_keeps_an_alarm_and_makes_none():
    weak = [one for one in found(links=(link("CONNECTED", skew_ms=25_000),)).values() if not one.raises]
    stored = Known(
        key="CLOCK_SKEW:7", first_at=AT, last_at=AT, said=("CLOCK_SKEW", "WARNING", weak[0].message)
    )

    alone = decide({}, weak, at=AT, limits=LIMITS)
    kept = decide({"CLOCK_SKEW:7": stored}, weak, at=AT + minutes(60), limits=LIMITS)

    assert (alone.begin, alone.tell) == ([], [])
    assert (kept.touch, kept.clear) == (["CLOCK_SKEW:7"], [])
