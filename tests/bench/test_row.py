"""How repetitions of a bench's row are run and summed up."""

import gc
import signal
from dataclasses import replace
from threading import Event, Thread

import pytest

from bench.row import (
    Better,
    OutOfTime,
    Row,
    Target,
    Variant,
    WarmUp,
    at_least,
    at_most,
    measure,
    measure_all,
)


def row(better, *variants, targets=()):
    return Row(name="r", what="w", unit="u", better=better, variants=variants, targets=targets)


def says(name, *values):
    """A variant that answers these values in turn; the first is that of the round which warms up."""
    left = list(values)
    return Variant(name=name, run=lambda: left.pop(0))


def test_the_round_that_warms_up_does_not_count():
    result = measure(row(Better.HIGHER, says("ours", 1e9, 10.0, 30.0, 20.0)), repetitions=3)

    assert (result.value, result.spread) == (20.0, 1.0)


def test_of_rates_the_parts_of_the_floor_are_done_after_each_other():
    found = row(Better.HIGHER, says("ours", 1, 20.0), says("floor: a", 1, 60.0), says("floor: b", 1, 30.0))

    result = measure(found, repetitions=1)

    assert result.floor == pytest.approx(20.0)
    assert result.ratio_to_floor == pytest.approx(1.0)
    assert result.others == {"floor: a": 60.0, "floor: b": 30.0}


def test_of_times_the_parts_of_the_floor_are_added_and_a_ratio_still_says_how_much_better():
    found = row(
        Better.LOWER,
        says("ours", 1, 4.0),
        says("naive", 1, 40.0),
        says("floor: a", 1, 1.0),
        says("floor: b", 1, 1.0),
    )

    result = measure(found, repetitions=1)

    assert (result.floor, result.ratio_to_floor, result.ratio_to_naive) == (2.0, 0.5, 10.0)


def test_a_ratio_is_taken_within_a_repetition():
    """A machine that is slow for one round slows both: the medians of each would say 2."""
    found = row(Better.HIGHER, says("ours", 1, 10.0, 1.0, 10.0), says("naive", 1, 5.0, 0.5, 1.0))

    assert measure(found, repetitions=3).ratio_to_naive == 2.0


def test_the_order_of_the_variants_turns():
    order = []
    variants = [
        Variant(name=name, run=lambda name=name: order.append(name) or 1.0)
        for name in ("ours", "naive", "floor")
    ]

    measure(row(Better.HIGHER, *variants), repetitions=2)

    assert order == ["ours", "naive", "floor", "naive", "floor", "ours", "floor", "ours", "naive"]


@pytest.mark.parametrize(
    ("hurried", "warmed_up"), [(True, ["always"]), (False, ["always", "full"])], ids=["hurried", "full"]
)
def test_a_variant_says_whether_it_warms_up(hurried, warmed_up):
    order = []
    variants = [
        Variant(name=name, run=lambda name=name: order.append(name) or 1.0, warm_up=warm_up)
        for name, warm_up in (("always", WarmUp.ALWAYS), ("full", WarmUp.FULL), ("never", WarmUp.NEVER))
    ]

    measure(row(Better.HIGHER, says("ours", 1.0, 2.0), *variants), repetitions=1, hurried=hurried)

    *before, _, _, _ = order  # the round that counts has all of them
    assert before == warmed_up


@pytest.mark.parametrize("better", Better)
def test_a_result_says_which_way_its_value_points(better):
    assert measure(row(better, says("ours", 1.0, 2.0)), repetitions=1).better == better


@pytest.mark.parametrize(
    ("target", "met"),
    [
        (at_least("naive", 2.0), True),
        (at_least("naive", 2.1), False),
        (at_least("floor", 0.1), False),
        (at_most(20.0, "u"), True),
        (at_most(19.0, "u"), False),
    ],
)
def test_a_target_is_met_or_it_is_not(target: Target, met):
    found = row(Better.HIGHER, says("ours", 1, 20.0), says("naive", 1, 10.0), targets=[target])

    assert measure(found, repetitions=1).targets == {target.text: met}


def test_what_a_row_had_running_is_ended_once_it_is_measured():
    ended = []
    values = iter([1.0, 2.0])
    ours = Variant(name="ours", run=lambda: (next(values), ended.append("measured"))[0])

    measure(replace(row(Better.HIGHER, ours), done=lambda: ended.append("ended")), repetitions=1)

    assert ended == ["measured", "measured", "ended"]


def fails(name):
    """A variant that comes to nothing."""

    def run():
        raise RuntimeError("no answer")

    return Variant(name=name, run=run)


def test_what_a_row_had_running_is_ended_when_it_fails_too():
    ended = []
    found = replace(row(Better.HIGHER, fails("ours")), done=lambda: ended.append("ended"))

    with pytest.raises(RuntimeError, match="no answer"):
        measure(found, repetitions=1)

    assert ended == ["ended"]


def test_a_row_that_fails_takes_with_it_what_follows_and_leaves_what_was_measured(capsys):
    ended = []
    rows = [
        replace(row(Better.HIGHER, says("ours", 1.0, 2.0)), name="first"),
        replace(row(Better.HIGHER, fails("ours")), name="second"),
        replace(row(Better.HIGHER, says("ours")), name="third", done=lambda: ended.append("third")),
    ]

    results, failed = measure_all(rows, repetitions=1)

    assert [(one.name, one.value) for one in results] == [("first", 2.0)]
    assert failed == ["second", "third"]
    assert ended == ["third"]
    assert "no answer" in capsys.readouterr().err


def waits(name):
    """A variant that never comes to an end, and takes everything for trouble of its own."""

    def run():
        while True:
            try:
                Event().wait()
            except Exception as error:  # noqa: BLE001 - what it stands for
                print(error)

    return Variant(name=name, run=run)


def test_a_row_that_does_not_end_in_its_time_is_ended_and_told_by_its_name(capsys):
    ended = []
    endless = replace(
        row(Better.HIGHER, waits("ours")), name="endless", within_s=0.05, done=lambda: ended.append("ended")
    )
    rows = [replace(row(Better.HIGHER, says("ours", 1.0, 2.0)), name="first"), endless]

    results, failed = measure_all(rows, repetitions=1)

    told = capsys.readouterr().err
    assert ([one.name for one in results], failed) == (["first"], ["endless"])
    assert ended[0] == "ended"
    assert "endless: FAILED after" in told
    assert "not done within 0.05 s" in told


def test_the_time_that_ends_while_garbage_is_collected_is_told_after_it():
    """Raised in a callback of the collector it would be told as unraisable, and be lost."""
    done = []

    def slow(phase, _info):
        if phase == "start" and not done:
            Event().wait(0.1)
            done.append(phase)

    stop = Event()
    other = Thread(target=stop.wait)  # the signal may be given to it
    gc.callbacks.append(slow)
    try:
        other.start()
        with pytest.raises(OutOfTime):
            measure(replace(row(Better.HIGHER, waits("ours")), within_s=0.05), repetitions=1)
    finally:
        gc.callbacks.remove(slow)
        stop.set()
        other.join()

    assert done == ["start"]


def test_the_time_of_a_row_ends_with_it():
    handler = signal.getsignal(signal.SIGALRM)

    measure(replace(row(Better.HIGHER, says("ours", 1.0, 2.0)), within_s=60), repetitions=1)

    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    assert signal.getsignal(signal.SIGALRM) is handler


def test_the_time_of_a_row_ends_with_one_that_took_too_long():
    with pytest.raises(OutOfTime):
        measure(replace(row(Better.HIGHER, waits("ours")), within_s=0.05), repetitions=1)

    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
