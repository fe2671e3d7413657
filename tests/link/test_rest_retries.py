"""What may be better a moment later is tried again: with jitter, as long as Voke asks, and not for ever."""

import json
import random

import pytest

from link.rest import RestError, RestGarbled, RestNotFound, RestThrottled, RestUnavailable, Retries, VokeRest
from link.rest_retries import retry_after_s
from link.rest_shapes import logged_commands_of, site_config_of
from tests.link.far_rest import far_rest
from tests.services.proc import free_port
from vcp import Family

RULE = Retries(attempts=4, first_s=1.0, most_s=5.0, within_s=60.0)
LATE = "Fri, 02 Jan 2026 03:00:10 GMT"
NOW = "Fri, 02 Jan 2026 03:00:00 GMT"


class Waits:
    """Pauses that are noted instead of waited; answers `stop` to the last of them."""

    def __init__(self, *, stop_at=None):
        self.seconds = []
        self._stop_at = stop_at

    def __call__(self, seconds):
        self.seconds.append(seconds)
        return len(self.seconds) == self._stop_at


def answers(*statuses, headers=()):
    """One status after the other, then 200 with an empty list."""
    left = list(statuses)

    def answer(asked):
        status = left.pop(0) if left else 200
        content = json.dumps([]).encode()
        asked.handler.send_response_only(status)
        for name, value in headers:
            asked.handler.send_header(name, value)
        asked.handler.send_header("Content-Length", str(len(content)))
        asked.handler.end_headers()
        asked.handler.wfile.write(content)

    return answer


def ask(url, waits, retries=RULE):
    with VokeRest(base_url=url, api_key="k", retries=retries, pause=waits, rng=random.Random(1)) as rest:
        return rest.sites()


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_be_better_later_is_tried_again(status):
    waits = Waits()
    with far_rest(answers(status, status)) as host:
        found = ask(host.url, waits)

    assert (found.sites, len(host.asked)) == ([], 3)
    assert 0.5 <= waits.seconds[0] <= 1.0 <= waits.seconds[1] <= 2.0


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_what_stays_wrong_is_asked_once(status):
    waits = Waits()
    with far_rest(answers(status)) as host, pytest.raises(RestError):
        ask(host.url, waits)

    assert (len(host.asked), waits.seconds) == (1, [])


def test_a_host_that_is_not_there_is_tried_again_and_then_given_up():
    waits = Waits()
    with pytest.raises(RestError) as caught:
        ask(f"http://127.0.0.1:{free_port()}", waits)

    assert (caught.value.code, len(waits.seconds)) == ("REST_UNREACHABLE", 3)


def test_all_has_an_end():
    waits = Waits()
    with far_rest(answers(*[503] * 20)) as host, pytest.raises(RestUnavailable):
        ask(host.url, waits)

    assert (len(host.asked), len(waits.seconds)) == (4, 3)
    assert max(waits.seconds) <= RULE.most_s


def test_whoever_stops_the_work_does_not_wait_for_another_try():
    waits = Waits(stop_at=1)
    with far_rest(answers(*[503] * 20)) as host, pytest.raises(RestUnavailable):
        ask(host.url, waits)

    assert len(host.asked) == 1


@pytest.mark.parametrize(
    ("headers", "least_s"),
    [
        ([("Retry-After", "3")], 3.0),
        ([("Retry-After", LATE), ("Date", "Fri, 02 Jan 2026 03:00:06 GMT")], 4.0),
        ([("Retry-After", "soon")], 0.5),
        ([("Retry-After", LATE)], 0.5),
    ],
    ids=["seconds", "a date by the host's clock", "no time", "a date without the host's clock"],
)
def test_the_pause_that_voke_names_is_kept(headers, least_s):
    waits = Waits()
    with far_rest(answers(429, headers=headers)) as host:
        ask(host.url, waits)

    assert least_s <= waits.seconds[0] <= max(1.0, least_s * 1.1 + 0.1)


def test_a_pause_that_is_longer_than_we_may_wait_ends_the_trying():
    waits = Waits()
    with (
        far_rest(answers(429, headers=[("Retry-After", "6")])) as host,
        pytest.raises(RestThrottled) as caught,
    ):
        ask(host.url, waits)

    assert (len(host.asked), waits.seconds, caught.value.retry_after_s) == (1, [], 6.0)


def test_no_try_begins_after_the_time_for_all_of_them():
    rule = Retries(attempts=10, first_s=4.0, most_s=4.0, within_s=5.0)
    error = RestUnavailable("503")

    pauses = [rule.pause_s(error, attempt=1, spent_s=spent, rng=random.Random(1)) for spent in (0.0, 4.9)]

    assert (pauses[0] is not None, pauses[1]) == (True, None)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "0"}, 0.0),
        ({"Retry-After": "-1"}, None),
        ({"Retry-After": "9" * 400}, 999_999_999.0),
        ({"Retry-After": NOW, "Date": LATE}, 0.0),
        ({"Retry-After": LATE, "Date": NOW}, 10.0),
    ],
)
def test_retry_after_is_read_as_far_as_it_can_be(headers, seconds):
    assert retry_after_s(headers) == seconds


# --- the shapes of the answers ----------------------------------------------------------------------------------------


def test_a_site_is_read_as_told_and_what_is_strange_is_kept_and_stops_nothing():
    told = {
        "siteId": "U-1",
        "operatingMode": "PEAK_SHAVING",
        "modeOverride": {"mode": "X"},
        "constraints": {"maxImportKw": 5},
        "fallback": None,
        "topology": "strange",
        "activeSchedule": {"scheduleId": "s1", "status": "ACTIVE", "slots": 4},
        "pendingCommands": [{"messageId": "m1", "isExecuting": "yes", "acceptedAt": "yesterday"}, 7],
        "novelty": 1,
    }
    found = site_config_of(told, site_id="u-1")

    assert (found.operating_mode, found.mode_override) == ("PEAK_SHAVING", {"mode": "X"})
    assert found.config() == {Family.CONFIG_CONSTRAINTS: {"maxImportKw": 5}, Family.CONFIG_FALLBACK: None}
    assert found.active_schedule is not None
    assert (found.active_schedule.schedule_id, found.active_schedule.raw["slots"]) == ("s1", 4)
    [pending] = found.pending_commands
    assert (pending.message_id, pending.is_executing, pending.received_at) == ("m1", None, None)
    assert (found.raw["novelty"], "novelty" in found.told) == (1, True)


def test_an_answer_that_tells_nothing_is_an_answer():
    found = site_config_of({}, site_id="u-1")

    assert (found.operating_mode, found.active_schedule, found.pending_commands) == ("", None, ())
    assert (found.config(), found.told) == ({}, frozenset())


@pytest.mark.parametrize("document", [[], "x", {"siteId": "other"}, {"siteId": 7}], ids=range(4))
def test_an_answer_about_something_else_is_garbled(document):
    with pytest.raises(RestGarbled):
        site_config_of(document, site_id="u-1")


def test_an_answer_deeper_than_is_sane_is_garbled():
    deep = {}
    for _ in range(100):
        deep = {"a": deep}

    with pytest.raises(RestGarbled):
        site_config_of(deep, site_id="u-1")


@pytest.mark.parametrize("document", [{}, {"commands": {}}, "x", 7], ids=range(4))
def test_what_is_no_log_of_commands_is_garbled(document):
    with pytest.raises(RestGarbled):
        logged_commands_of(document)


def test_a_site_id_is_one_word_of_the_path_whatever_is_in_it():
    with (
        far_rest(lambda _asked: (404, b"{}")) as host,
        VokeRest(base_url=host.url, api_key="k") as rest,
        pytest.raises(RestNotFound),
    ):
        rest.site_config("a/../b?c#d")

    assert host.asked[0].path == "/api/v1/vcp/sites/a%2F..%2Fb%3Fc%23d/config"
