"""What Voke's REST says of the plants is asked for within bounds, kept, and handed on; drift is told by an alarm."""

import threading
from datetime import timedelta

import pytest

from dispatch.models import SiteReport
from dispatch.services.site_config import publish_changed
from link import site_reports
from link.rest import RestLimits, Retries
from link.site_reports import ReportOptions, client_of, current_report_options, fetch
from plants.errors import Conflict
from plants.models import Connection, Plant
from tests import factories
from tests.dispatch.helpers import deliver
from tests.factories import AT
from tests.link.far_rest import document, far_rest
from tests.link.site_reporting import FALLBACK, LATER, LIMITS, QUICK, link_to, minutes, report_of, run, voke
from tests.queries import queries_of
from tests.threads import Aside, together, until

pytestmark = pytest.mark.django_db


def test_a_plants_report_is_kept_as_voke_told_it_unknown_members_included():
    told = {"pendingCommands": [{"messageId": "m1", "isExecuting": True}], "novelty": {"a": [1, "\0"]}}
    with far_rest(voke(told)) as host:
        plant = factories.plant(on=link_to(host))
        count = run()

    report = report_of(plant)
    assert (count, report.error_code, report.asked_at, report.answered_at) == (1, "", LATER, LATER)
    assert report.payload["operatingMode"] == "STANDARD"
    assert report.payload["pendingCommands"] == told["pendingCommands"]
    assert report.payload["novelty"] == {"a": [1, "\N{SYMBOL FOR NULL}"]}
    assert host.asked[0].path == f"/api/v1/vcp/sites/{plant.voke_uuid}/config"


# --- who is asked, when, and how much at once -------------------------------------------------------------------------


def test_a_report_that_is_not_old_enough_is_not_asked_for_again():
    with far_rest(voke()) as host:
        factories.plant(on=link_to(host))
        counts = [run(minutes(0)), run(minutes(4)), run(minutes(5))]

    assert counts == [1, 0, 1]


def test_plants_that_were_asked_longest_ago_come_first_and_a_run_has_a_bound():
    few = ReportOptions(pace_s=0.0, per_run=2)
    with far_rest(voke()) as host:
        link = link_to(host)
        plants = [factories.plant(on=link) for _ in range(3)]
        for at in (minutes(0), minutes(10), minutes(20)):
            run(at, few)

    asked = [one.path.split("/")[-2] for one in host.asked]
    first, second, third = (str(plant.voke_uuid) for plant in plants)
    assert asked == [first, second, third, first, second, first]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda plant: Connection.objects.update(rest_base_url=""),
        lambda plant: Connection.objects.update(scopes=["vcp:connect"]),
        lambda plant: Connection.objects.update(retired_at=AT),
        lambda plant: Plant.objects.update(voke_uuid=None),
    ],
    ids=["no address", "no scope", "retired", "no UUID"],
)
def test_who_cannot_be_asked_is_not(spoil):
    with far_rest(voke()) as host:
        spoil(factories.plant(on=link_to(host)))
        count = run()

    assert (count, host.asked) == (0, [])


def test_an_installation_that_asks_for_nothing_opens_no_connection(settings):
    settings.SITE_REPORT_EVERY_S = 0
    with far_rest(voke()) as host:
        factories.plant(on=link_to(host))
        count = run(options=current_report_options())

    assert (count, host.asked) == (0, [])


def test_there_is_a_pause_between_two_requests_of_a_connection(monkeypatch):
    pauses = []

    class Noted(threading.Event):
        def wait(self, timeout=None):
            pauses.append(timeout)
            return False

    monkeypatch.setattr(site_reports.threading, "Event", Noted)
    turn = site_reports._Turn(factories.connection(), ReportOptions(pace_s=0.25), stop=Noted())
    monkeypatch.setattr(turn, "_one", lambda question: question)

    assert turn.ask([1, 2, 3]) == [1, 2, 3]
    assert pauses == [0.25, 0.25]


def test_a_host_that_does_not_answer_uses_up_its_own_turn_alone():
    done = threading.Event()
    patient = ReportOptions(pace_s=0.0, side_by_side=2, retries=Retries(attempts=1))
    answered = threading.Event()

    def after_the_others(asked):
        # Answers when the other connection's plants are all answered: in one line they would wait for each other.
        done.wait(15)
        return voke()(asked)

    def told(asked):
        if len(quick.asked) == 3:
            done.set()
        answered.set()
        return voke()(asked)

    with far_rest(after_the_others) as slow, far_rest(told) as quick:
        factories.plant(on=link_to(slow))
        link = link_to(quick)
        for _ in range(3):
            factories.plant(on=link)
        count = run(options=patient)

    assert (count, done.is_set()) == (4, True)
    assert not SiteReport.objects.exclude(error_code="").exists()


def test_a_run_that_is_out_of_time_gives_back_what_it_did_not_ask():
    with far_rest(voke()) as host:
        link = link_to(host)
        old, new = factories.plant(on=link), factories.plant(on=link)
        SiteReport.objects.create(plant=old, asked_at=AT)
        count = run(options=ReportOptions(turn_s=-1.0))
        late = (count, list(SiteReport.objects.values_list("plant_id", "asked_at")))
        again = run()

    assert late == (0, [(old.pk, AT)])
    assert (again, report_of(new).asked_at) == (2, LATER)


def test_a_run_that_was_killed_leaves_its_plants_to_the_end_of_the_line(monkeypatch):
    class Killed(BaseException):
        pass

    def killed(*_args, **_options):
        raise Killed

    with far_rest(voke()) as host:
        link = link_to(host)
        plant = factories.plant(on=link)
        with monkeypatch.context() as patched:
            patched.setattr(site_reports, "store_answers", killed)
            with pytest.raises(Killed):
                run(minutes(0))
        left = report_of(plant)
        counts = [run(minutes(1)), run(minutes(6))]

    assert (left.asked_at, left.answered_at, left.payload) == (AT, None, None)
    assert counts == [0, 1]


# --- what fails -------------------------------------------------------------------------------------------------------


def test_a_site_that_voke_does_not_know_is_told_by_its_code_and_the_others_are_asked():
    with far_rest(voke()) as host:
        link = link_to(host)
        unknown, odd, known = (factories.plant(on=link) for _ in range(3))
        host_answers = {
            str(unknown.voke_uuid): (404, "SITE_NOT_FOUND"),
            str(odd.voke_uuid): (400, "INVALID_UUID"),
        }
        with far_rest(voke(refuse=host_answers)) as picky:
            Connection.objects.update(rest_base_url=picky.url)
            run()

    codes = [report_of(plant).error_code for plant in (unknown, odd, known)]
    assert codes == ["REST_NOT_FOUND", "REST_REJECTED", ""]


@pytest.mark.parametrize(
    ("status", "code", "asked"), [(401, "REST_UNAUTHORIZED", 1), (503, "REST_UNAVAILABLE", 2)]
)
def test_what_is_wrong_with_the_connection_is_not_asked_for_every_plant(status, code, asked):
    with far_rest(document(status, {"code": "NO"})) as host:
        link = link_to(host)
        plants = [factories.plant(on=link) for _ in range(3)]
        run()

    assert [report_of(plant).error_code for plant in plants] == [code] * 3
    assert len(host.asked) == asked


def test_a_failed_look_leaves_the_last_answer():
    with far_rest(voke()) as host:
        plant = factories.plant(on=link_to(host))
        run(minutes(0))
    run(minutes(10))

    report = report_of(plant)
    assert (report.error_code, report.asked_at, report.answered_at) == ("REST_UNREACHABLE", minutes(10), AT)
    assert report.payload["operatingMode"] == "STANDARD"


def test_a_key_that_cannot_be_read_is_told_and_nothing_is_asked():
    with far_rest(voke()) as host:
        plant = factories.plant(on=link_to(host))
        factories.make_undecryptable(plant.connection, "api_key")
        other = factories.plant(on=link_to(host))
        run()

    assert [report_of(one).error_code for one in (plant, other)] == ["SECRET_UNREADABLE", ""]


def test_an_answer_nobody_foresaw_ends_one_connections_turn_and_not_the_run(monkeypatch):
    with far_rest(voke()) as host:
        first, second = factories.plant(on=link_to(host)), factories.plant(on=link_to(host))
        ask = site_reports._Turn.ask

        def broken(turn, questions):
            if turn.connection_id == first.connection_id:
                raise ZeroDivisionError
            return ask(turn, questions)

        monkeypatch.setattr(site_reports._Turn, "ask", broken)
        count = run()

    assert (count, report_of(second).answered_at, report_of(first).answered_at) == (1, LATER, None)


# --- one plant, now; and who else reads the answer --------------------------------------------------------------------


def test_one_plant_is_asked_for_now_however_new_its_report_is():
    with far_rest(voke()) as host:
        plant = factories.plant(on=link_to(host))
        run(minutes(0))
        report = fetch(plant=plant, at=AT + timedelta(seconds=5), options=QUICK)

    assert (report.answered_at, report.error_code) == (AT + timedelta(seconds=5), "")


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda: Plant.objects.update(connection=None), "NOT_CONNECTED"),
        (lambda: Connection.objects.update(rest_base_url=""), "REST_NOT_SET"),
        (lambda: Plant.objects.update(voke_uuid=None), "NOT_MAPPED"),
    ],
)
def test_a_plant_that_cannot_be_asked_for_is_a_conflict(spoil, code):
    plant = factories.plant()
    spoil()
    plant.refresh_from_db()

    with pytest.raises(Conflict) as caught:
        fetch(plant=plant, at=AT, options=QUICK)

    assert caught.value.code == code


def test_vokes_log_of_a_plants_commands_is_read():
    row = {
        "messageId": "m1",
        "correlationId": "c1",
        "commandType": "mode",
        "status": "REJECTED",
        "rejectionCode": "DEVICE_OFFLINE",
        "executionStatus": None,
        "receivedAt": "2026-01-02T03:00:00.000Z",
        "more": 1,
    }
    with far_rest(document(200, {"commands": [row, "strange", {}]})) as host:
        plant = factories.plant(on=link_to(host))
        with client_of(plant.connection, QUICK, pause=threading.Event().wait) as rest:
            first, empty = rest.site_commands(str(plant.voke_uuid))

    assert (first.message_id, first.status, first.rejection_code, first.execution_status) == (
        "m1", "REJECTED", "DEVICE_OFFLINE", "",
    )  # fmt: skip
    assert (first.received_at, first.raw["more"], empty.received_at) == (AT, 1, None)


def test_each_answer_goes_to_every_hook_once_and_one_that_fails_stops_nobody(monkeypatch):
    heard = []

    def failing(*_args):
        raise ZeroDivisionError

    monkeypatch.setattr(site_reports, "HOOKS", [failing, lambda *args: heard.append(args)])
    with far_rest(voke()) as host:
        link = link_to(host)
        plants = [factories.plant(on=link) for _ in range(2)]
        gone = factories.plant(on=link)
        with far_rest(voke(refuse={str(gone.voke_uuid): (404, "SITE_NOT_FOUND")})) as picky:
            Connection.objects.update(rest_base_url=picky.url)
            run()

    assert [(plant, report.plant_id, at) for plant, report, at in heard] == [
        (plant, plant.pk, LATER) for plant in plants
    ]


# --- at once, and how much it costs -----------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_runs_at_once_ask_each_plant_once():
    with far_rest(voke()) as host:
        link = link_to(host)
        for _ in range(5):
            factories.plant(on=link)
        counts = together(run, lambda: run(LATER + timedelta(seconds=1)))
        asked = [one.path for one in host.asked]

    assert (sum(counts), len(asked), len(set(asked))) == (5, 5, 5)


@pytest.mark.django_db(transaction=True)
def test_a_slow_answer_does_not_overwrite_a_later_one():
    asked, go = threading.Event(), threading.Event()

    def answer(request):
        if not asked.is_set():
            asked.set()
            go.wait(15)
            return voke({"operatingMode": "OLD"})(request)
        return voke({"operatingMode": "NEW"})(request)

    with far_rest(answer) as host:
        plant = factories.plant(on=link_to(host))
        patient = ReportOptions(retries=Retries(attempts=1), limits=RestLimits(read_s=20, total_s=20))
        slow = Aside(lambda: fetch(plant=plant, at=minutes(1), options=patient))
        until(asked.is_set, "the slow question")
        fetch(plant=plant, at=minutes(2), options=QUICK)
        go.set()
        told = slow.answer()

    assert (told.payload["operatingMode"], report_of(plant).answered_at) == ("NEW", minutes(2))


def test_the_number_of_statements_does_not_grow_with_the_plants():
    def cost(count):
        with far_rest(voke({"constraints": LIMITS, "fallback": FALLBACK})) as host:
            link = link_to(host)
            for _ in range(count):
                factories.plant(on=link)
            publish_changed(at=AT, policy=factories.policy())
            deliver(link)
            first, second = queries_of(lambda: run(minutes(10))), queries_of(lambda: run(minutes(20)))
            Connection.objects.update(rest_base_url="")
            return first, second

    assert cost(2) == cost(12)
