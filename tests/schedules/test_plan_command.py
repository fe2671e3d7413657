"""`manage.py plan`: what it shows and changes, for people and as JSON."""

import io
import json
import os

import pytest
from django.core.management import CommandError, call_command

from esm import clock
from schedules.models import DayPlan, PlanVersion
from tests import factories
from tests.schedules.helpers import draft, values
from tests.schedules.plans import EVE, slot

pytestmark = pytest.mark.django_db

HEAD = "plant,start,type,value,direction\n"


@pytest.fixture(autouse=True)
def _the_eve(monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: EVE)


@pytest.fixture
def plant():
    return factories.plant(capacity_kwh=0, external_plant_id="DEPOT")


def plan(what, *words, **options):
    out = io.StringIO()
    call_command("plan", what, *words, stdout=out, **options)
    return out.getvalue()


def on(what, *words):
    return plan(what, *words, "--plant", "DEPOT", "--day", "2026-01-02")


def as_json(what, *words):
    return json.loads(on(what, *words, "--json"))


def failed(what, *words):
    out = io.StringIO()
    with pytest.raises(SystemExit) as caught:
        call_command("plan", what, *words, "--plant", "DEPOT", "--day", "2026-01-02", stdout=out)
    assert caught.value.code == 1
    return out.getvalue()


def test_a_plan_goes_from_a_file_to_published_and_cancelled(plant, tmp_path):
    file = tmp_path / "day.csv"
    file.write_text(HEAD + "DEPOT,2026-01-02 10:00,POWER,5,IMPORT\nDEPOT,2026-01-02 10:15,POWER,6,IMPORT\n")

    told = plan("import", str(file))
    assert told.splitlines() == [
        "DEPOT 2026-01-02: 2 slots, new, 2 changes",
        "  10:00-10:15 added: import 5 kW",
        "  10:15-10:30 added: import 6 kW",
        "1 drafts stored",
    ]
    assert on("check") == "DEPOT 2026-01-02 version 1: CHECKED\n"
    assert on("publish", "--by", "Ann") == "DEPOT 2026-01-02 version 1: PUBLISHED, carried by DISPATCHER\n"
    shown = on("show", "--history").splitlines()
    assert shown[0] == "DEPOT 2026-01-02 version 1: PUBLISHED, carried by DISPATCHER (Europe/Prague)"
    assert shown[1].split() == ["10:00-10:15", "import", "5", "kW", "WAITING"]
    assert shown[3:5] == ["  2 WAITING", "history:"]
    assert shown[5] == "  2026-01-01 13:00 PUBLISHED version 1 by Ann"
    assert on("cancel", "--reason", "storm").endswith("version 1: CANCELLED, carried by DISPATCHER\n")


def test_a_dry_run_stores_nothing_and_a_wrong_row_refuses_the_file(plant, tmp_path):
    file = tmp_path / "day.csv"
    file.write_text(HEAD + "DEPOT,2026-01-02 10:00,POWER,5,IMPORT\n")
    assert "nothing was stored" in plan("import", str(file), "--dry-run")
    file.write_text(HEAD + "DEPOT,2026-01-02 10:01,POWER,5,IMPORT\n")

    with pytest.raises(CommandError, match="line 2 start: NOT_ON_GRID"):
        plan("import", str(file))
    with pytest.raises(CommandError, match="NOT_READABLE"):
        plan("import", str(tmp_path / "none.csv"))

    assert not DayPlan.objects.exists()


def test_a_refusal_as_json_names_each_problem(plant, tmp_path):
    file = tmp_path / "day.csv"
    file.write_text(HEAD + "DEPOT,2026-01-02 10:01,POWER,5,IMPORT\n")
    out = io.StringIO()

    with pytest.raises(SystemExit):
        call_command("plan", "import", str(file), "--json", stdout=out)

    (problem,) = json.loads(out.getvalue())["error"]["problems"]
    assert (problem["code"], problem["path"]) == ("NOT_ON_GRID", "file[2].start")


def test_what_stands_against_a_plan_is_told_with_what_would_fit(plant):
    draft(plant, slot("10:00", 120))

    lines = failed("check").splitlines()

    assert lines[0] == "DEPOT 2026-01-02 version 1: DRAFT"
    assert lines[1].startswith("  ERROR 10:00-10:15 SITE_LIMIT: ") and lines[1].endswith("; 100 kW would fit")
    assert failed("publish").splitlines()[0] == "DEPOT 2026-01-02 version 1: DRAFT"


def test_warnings_are_shown_until_they_are_accepted():
    draft(factories.plant(capacity_kwh=0, external_plant_id="DEPOT", max_charge_kw=4), slot("10:00", 5))

    assert "WARNING 10:00-10:15 PLANT_LIMIT" in failed("publish")
    assert "PUBLISHED" in on("publish", "--accept-warnings")


def test_a_day_as_json_has_each_slot_and_how_many_ended_how(plant):
    draft(plant, slot("10:00", 5))
    on("publish")

    told = as_json("show", "--diff", "--history")

    assert (told["state"], told["timeZone"], told["counts"]) == ("PUBLISHED", "Europe/Prague", {"WAITING": 1})
    (only,) = told["slots"]
    assert (only["start"], only["value"], only["run"]) == ("2026-01-02T09:00:00.000Z", 5, "WAITING")
    assert told["changes"] == ["10:00-10:15 added: import 5 kW"]
    assert [one["word"] for one in told["history"]] == ["PUBLISHED", "CHECKED", "MADE"]


def test_plans_are_listed_exported_and_taken_back(plant, tmp_path):
    draft(plant, slot("10:00", 5))
    assert plan("show", "--plant", "DEPOT") == "DEPOT 2026-01-02: version 1 DRAFT\n"
    assert json.loads(plan("show", "--plant", "DEPOT", "--json"))[0]["open"]["state"] == "DRAFT"
    file = tmp_path / "out.csv"

    assert on("export", "--output", str(file)) == "1 plans written\n"

    assert (
        plan("import", str(file)).splitlines()[0] == "DEPOT 2026-01-02: 1 slots, beside version 1, 0 changes"
    )
    assert on("export").replace("\r\n", "\n") == file.read_text()
    assert as_json("export")["plans"] == 1


def test_a_day_is_copied_with_its_notes(plant):
    draft(plant, slot("02:15", 5), slot("10:00", 6))

    told = on("copy", "--to", "2026-01-03", "2026-03-29")

    assert told.splitlines() == [
        "DEPOT 2026-01-03 version 1: DRAFT",
        "DEPOT 2026-03-29 version 1: DRAFT",
        "  left out, 2026-03-29 has no place for them: 02:15",
    ]
    assert values(PlanVersion.objects.get(plan__day="2026-01-03")) == [5, 6]


def test_a_published_plan_is_handed_over(plant):
    draft(plant, slot("10:00", 5))
    on("publish")
    type(plant).objects.update(schedule_carrier="VOKE")

    assert on("republish") == "DEPOT 2026-01-02 version 2: PUBLISHED, carried by VOKE\n"


def test_two_organisations_with_the_same_plant_id_need_a_name(plant):
    other = factories.plant(external_plant_id="DEPOT", capacity_kwh=0)
    draft(other, slot("10:00", 5))

    with pytest.raises(CommandError, match="several"):
        on("show")
    assert "DRAFT" in on("show", "--organisation", other.organisation.slug)


def test_a_plan_that_is_published_already_is_named_when_it_is_published_again(plant):
    draft(plant, slot("10:00", 5))
    on("publish", "--accept-warnings")

    with pytest.raises(
        CommandError, match="NO_SUCH_VERSION day: version 1 is PUBLISHED, and no other one is DRAFT"
    ):
        on("publish")


def test_a_reader_that_has_enough_ends_the_output_without_a_word(plant, monkeypatch):
    class Full:
        def write(self, _text):
            raise BrokenPipeError

        def flush(self):
            """Nothing was taken."""

        def fileno(self):
            return os.dup(2)

    draft(plant, slot("10:00", 5))
    monkeypatch.setattr("sys.stdout", Full())

    call_command("plan", "show", "--plant", "DEPOT")


def test_what_is_not_there_is_told(plant):
    with pytest.raises(CommandError, match="PLAN_NOT_FOUND day: nothing is planned"):
        on("show")
    with pytest.raises(CommandError, match="PLAN_NOT_FOUND day: nothing is planned"):
        on("publish")
    with pytest.raises(CommandError, match="PLANT_NOT_FOUND"):
        plan("show", "--plant", "NOBODY")
