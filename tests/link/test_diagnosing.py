"""Voke's command log read over REST: which words mean what, what an error costs, and who is asked how often."""

import json
import uuid
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from dispatch.diagnosis import Silence
from dispatch.models import Diagnosis, DiagnosisStage
from dispatch.services.diagnosis import LogLook
from link.diagnosing import LONG_ANSWER, LOOKBACK, LogReader, log_finding, read_logs
from link.rest import VokeCommand
from plants.models import Connection
from tests import factories
from tests.dispatch.helpers import message_of
from tests.dispatch.silences import LATER, RULES, explained, finding, silent_command
from tests.factories import AT
from tests.link.far_rest import Answer, Asked, FarRest, far_rest

ID = "3f0c8f6e-0b1d-4c58-9d4e-6a5f5c0a7b11"


def look(**changes: Any) -> LogLook:
    facts: dict[str, Any] = {
        "command_id": 1,
        "asked_at": LATER,
        "site_id": uuid.UUID(int=1),
        "silence": Silence.NO_ACK,
        "sent_at": AT,
        "lists_it": True,
        "message_ids": frozenset({ID}),
    }
    return LogLook(**(facts | changes))


def logged(**changes: Any) -> VokeCommand:
    facts: dict[str, Any] = {
        "message_id": str(uuid.uuid4()),
        "correlation_id": "",
        "command_type": "mode",
        "status": "ACCEPTED",
        "rejection_code": "",
        "execution_status": "",
        "received_at": AT + timedelta(seconds=1),
        "is_executing": None,
        "raw": {},
    }
    return VokeCommand(**(facts | changes))


@pytest.mark.parametrize("name", ["message_id", "correlation_id"])
def test_a_command_is_found_by_either_id_in_whatever_case(name):
    found = log_finding(look(), [logged(), logged(**{name: ID.upper()})], at=LATER)

    assert (found.code, found.word) == ("KNOWN", "ACCEPTED")


def test_of_several_messages_of_a_command_the_one_that_was_judged_counts():
    both = [logged(message_id=ID, status=""), logged(message_id=ID, status="REJECTED", rejection_code="X")]

    found = log_finding(look(), both, at=LATER)

    assert found.word == "REJECTED"
    assert "(X)" in found.saw


def test_of_a_missing_report_the_execution_is_the_word():
    overdue = look(silence=Silence.NO_EXECUTION)

    assert log_finding(overdue, [logged(message_id=ID)], at=LATER).word == ""
    done = logged(message_id=ID, execution_status="COMPLETED")
    assert log_finding(overdue, [done], at=LATER).word == "COMPLETED"


@pytest.mark.parametrize(
    ("changes", "commands", "after", "code"),
    [
        ({}, 0, timedelta(minutes=1), "UNKNOWN"),
        ({}, LONG_ANSWER - 1, timedelta(minutes=1), "UNKNOWN"),
        ({}, LONG_ANSWER, timedelta(minutes=1), "DOES_NOT_REACH_BACK"),
        ({"sent_at": AT + timedelta(seconds=2)}, LONG_ANSWER, timedelta(minutes=1), "UNKNOWN"),
        ({}, 0, LOOKBACK + timedelta(seconds=1), "TOO_OLD"),
        ({"lists_it": False}, 0, timedelta(minutes=1), "NOT_KEPT_THERE"),
    ],
)
def test_absence_is_a_proof_only_where_the_log_would_have_it(changes, commands, after, code):
    found = log_finding(look(**changes), [logged() for _ in range(commands)], at=AT + after)

    assert found.code == code


# --- the tick ---------------------------------------------------------------------------------------------------------


def told(status: int, content: Any, *, at: datetime = LATER) -> Answer:
    """Always the same JSON, by a host whose clock says `at`."""

    def answer(asked: Asked) -> None:
        body = json.dumps(content).encode()  # as it is when asked
        asked.handler.send_response_only(status)
        asked.handler.send_header("Date", format_datetime(at, usegmt=True))
        asked.handler.send_header("Content-Length", str(len(body)))
        asked.handler.end_headers()
        asked.handler.wfile.write(body)

    return answer


def reader(**changes: Any) -> LogReader:
    """Time stands still unless told otherwise."""
    return LogReader(**({"timeout_s": 5.0, "pause": lambda _s: None, "timer": lambda: 0.0} | changes))


def unexplained_on(host: FarRest, *, on: Connection | None = None):
    """A silent command whose Voke is `host`."""
    link = on or factories.connection(rest_base_url=host.url, api_key="k+secret")
    command = silent_command(plant=factories.plant(on=link))
    assert explained(command).stage == DiagnosisStage.LOG
    return command


def read(at=LATER, **changes: Any) -> int:
    return read_logs(at=at, rules=RULES, reader=reader(**changes))


def row_of(command) -> Diagnosis:
    return Diagnosis.objects.get(command=command)


@pytest.mark.django_db
def test_one_request_per_site_answers_for_all_of_its_silent_commands():
    with far_rest(told(200, {"commands": []})) as host:
        first = unexplained_on(host)
        second = silent_command(plant=first.plant)
        other = unexplained_on(host, on=first.connection)
        explained(second)

        assert read() == 3

    assert [one.path for one in host.asked] == [
        f"/api/v1/vcp/sites/{command.plant.voke_uuid}/commands" for command in (first, other)
    ]
    assert {one.headers["X-API-Key"] for one in host.asked} == {"k+secret"}
    assert set(Diagnosis.objects.values_list("cause", flat=True)) == {"UNKNOWN_TO_VOKE"}


@pytest.mark.django_db
def test_what_voke_lists_is_known_and_nothing_is_asked_again():
    commands: list[dict[str, str]] = []
    with far_rest(told(200, {"commands": commands})) as host:
        command = unexplained_on(host)
        commands.append({"correlationId": str(message_of(command).correlation_id), "status": "QUEUED"})

        read()
        read(at=LATER + timedelta(hours=1))

    assert (row_of(command).cause, len(host.asked)) == ("KNOWN_TO_VOKE", 1)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("status", "code", "again"),
    [
        (401, "REST_UNAUTHORIZED", False),
        (403, "REST_FORBIDDEN", False),
        (404, "REST_NOT_FOUND", False),
        (429, "REST_THROTTLED", True),
        (503, "REST_UNAVAILABLE", True),
        (200, "REST_GARBLED", False),
    ],
)
def test_an_error_is_told_in_the_evidence_and_only_a_passing_one_is_tried_again(status, code, again):
    with far_rest(told(status, {"code": "X"})) as host:
        command = unexplained_on(host)
        read()

    row = row_of(command)
    assert finding(row, "LOG")["code"] == code
    assert (row.stage == DiagnosisStage.LOG) is again
    assert (row.look_at == LATER + RULES.look_again) or not again
    assert "k+secret" not in json.dumps(row.evidence)


@pytest.mark.django_db
def test_a_connection_that_fails_is_not_asked_about_its_other_sites_and_stops_no_other_connection():
    with far_rest(told(503, {})) as broken, far_rest(told(200, [])) as well:
        first = unexplained_on(broken)
        unexplained_on(broken, on=first.connection)
        other = unexplained_on(well)

        read()

    assert (len(broken.asked), len(well.asked)) == (1, 1)
    assert row_of(other).cause == "UNKNOWN_TO_VOKE"
    assert Diagnosis.objects.filter(stage=DiagnosisStage.LOG).count() == 2


@pytest.mark.django_db
def test_a_site_that_voke_does_not_know_does_not_keep_the_others_from_being_asked():
    def answer(asked):
        return told(*(404, {}) if len(host.asked) == 1 else (200, []))(asked)

    with far_rest(answer) as host:
        first = unexplained_on(host)
        other = unexplained_on(host, on=first.connection)

        read()

    assert finding(row_of(first), "LOG")["code"] == "REST_NOT_FOUND"
    assert row_of(other).cause == "UNKNOWN_TO_VOKE"


@pytest.mark.django_db
def test_a_turn_whose_time_is_over_leaves_its_other_sites_to_the_next():
    spent = iter([0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 31.0])
    with far_rest(told(200, [])) as host:
        first = unexplained_on(host)
        other = unexplained_on(host, on=first.connection)

        read(timer=lambda: next(spent, 31.0))

    assert len(host.asked) == 1
    assert row_of(first).cause == "UNKNOWN_TO_VOKE"
    assert finding(row_of(other), "LOG")["code"] == "NOT_REACHED"
    assert row_of(other).stage == DiagnosisStage.LOG


@pytest.mark.django_db
def test_requests_of_a_connection_are_paced():
    pauses: list[float] = []
    with far_rest(told(200, [])) as host:
        first = unexplained_on(host)
        unexplained_on(host, on=first.connection)

        read(pause=pauses.append)

    assert pauses == [0.1]


@pytest.mark.django_db
def test_a_key_that_cannot_be_decrypted_is_told_and_costs_nobody_else_his_turn():
    with far_rest(told(200, [])) as host:
        command = unexplained_on(host)
        other = unexplained_on(host)
        factories.make_undecryptable(command.connection, "api_key")

        read()

    assert finding(row_of(command), "LOG")["code"] == "SECRET_UNREADABLE"
    assert row_of(other).cause == "UNKNOWN_TO_VOKE"


@pytest.mark.django_db
def test_the_date_of_the_answer_tells_of_the_clock():
    with far_rest(told(200, [], at=LATER + timedelta(minutes=10))) as host:
        command = unexplained_on(host)
        read()

    row = row_of(command)
    assert (row.cause, row.confidence) == ("CLOCK_SKEW", "CERTAIN")
    assert finding(row, "CLOCK")["saw"].endswith("behind (REST)")
