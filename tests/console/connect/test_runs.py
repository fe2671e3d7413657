"""The checks of a connection as a run: line by line, one at a time, bounded, told when it broke off."""

import pytest
from django.test import Client

from console.connect import runs, views_check, views_sites
from esm import clock
from link.checkup import CHECKS
from plants.models import Organisation
from tests import factories
from tests.console.connect.bundles import API_KEY, says_no_secret
from tests.factories import AT

pytestmark = pytest.mark.django_db


def test_the_checks_stop_at_the_first_that_fails_and_say_the_fix(
    engineer_client: Client, organisation: Organisation, settings
) -> None:
    settings.LINK_TRANSPORT = "amqps"
    connection = factories.connection(
        owner=organisation,
        amqps_uri=f"amqps://acme:{API_KEY}@nowhere.invalid:5671/partner-7",
        rest_base_url="",
    )
    path = f"/console/connections/{connection.pk}/check/"
    assert "Run the checks" in engineer_client.get(path).content.decode()

    told = engineer_client.post(path).content.decode()

    assert "Host name" in told
    assert told.count('class="failed"') == 1
    assert "not tried: host failed" in told
    assert "Copy a mail for Voke" in told
    says_no_secret(told)


def test_what_a_run_finds_is_told_line_by_line() -> None:
    seen: list[int] = []

    def work(tell) -> None:
        for number in range(3):
            tell({"step": str(number)})
            run = runs.read("here", at=clock.now())
            assert run is not None
            seen.append(len(run.lines))
            assert run.running

    runs.start("here", work, clock=clock.now)

    run = runs.read("here", at=clock.now())
    assert run is not None
    assert (seen, run.running, run.failed) == ([1, 2, 3], False, False)


def test_two_starts_are_one_run() -> None:
    started: list[int] = []

    def work(tell) -> None:
        started.append(1)
        runs.start("here", work, clock=clock.now)

    runs.start("here", work, clock=clock.now)

    assert started == [1]


def test_a_run_that_fails_says_so_and_leaves_room_for_the_next() -> None:
    def broken(tell) -> None:
        tell({"step": "a"})
        raise RuntimeError("a fault of ours")

    for _ in range(runs.AT_ONCE + 1):
        runs.start("here", broken, clock=clock.now)

    run = runs.read("here", at=clock.now())
    assert run is not None
    assert (run.running, run.failed, len(run.lines)) == (False, True, 1)


def test_a_process_takes_only_so_many_runs() -> None:
    held = []
    for number in range(runs.AT_ONCE):
        runs.start(f"run{number}", lambda tell: None, clock=clock.now, spawn=held.append)
    try:
        with pytest.raises(runs.TooManyRuns):
            runs.start("another", lambda tell: None, clock=clock.now, spawn=held.append)
    finally:
        for body in held:
            body()


def test_a_run_whose_process_was_stopped_counts_as_ended() -> None:
    held = []
    runs.start("here", lambda tell: None, clock=lambda: AT - 2 * runs.STALE, spawn=held.append)
    try:
        run = runs.read("here", at=AT)
        assert run is not None
        assert (run.running, run.failed) == (False, True)
    finally:
        held[0]()


def test_the_words_of_the_checks_are_all_named() -> None:
    assert set(views_check._TITLES) == {check.step.value for check in CHECKS}
    assert views_sites.MOST_SITES <= 1000
