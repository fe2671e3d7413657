"""Plans from a file: the preview stores nothing, the confirmation stores all of the same file or nothing."""

import threading
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plants.errors import Conflict, Invalid, NotFound, Several
from schedules.csv_plans import MAX_ROWS
from schedules.models import DayPlan, PlanEvent, PlanSlot, PlanState, PlanVersion
from schedules.selectors.versions import export_plans
from schedules.services.drafts import discard_draft
from schedules.services.importing import confirm_import, preview_import, store_import
from schedules.slots import PlannedSlot, grid_of_day
from tests import factories
from tests.examples import examples
from tests.factories import OPERATOR
from tests.queries import queries_of
from tests.schedules.helpers import draft, values
from tests.schedules.plans import DAY, EVE, ZONE, slot
from tests.threads import together
from vcp import Direction, Priority, SetpointType

pytestmark = pytest.mark.django_db

HEAD = "plant,start,type,value,direction"


def content(*rows):
    return "\n".join([HEAD, *rows]).encode()


def row(plant, start="2026-01-02 10:00", value="1"):
    return f"{plant.external_plant_id},{start},POWER,{value},IMPORT"


def preview(owner, file):
    return preview_import(organisation_id=owner.organisation_id, content=file)


def confirm(owner, file, digest):
    return confirm_import(
        organisation_id=owner.organisation_id,
        content=file,
        digest=digest,
        actor=OPERATOR,
        at=EVE,
        name="day.csv",
    )


def test_a_preview_tells_the_difference_to_what_is_planned_and_stores_nothing():
    plant = factories.plant()
    version = draft(plant, slot("10:00", 1), slot("10:15", 2))

    told = preview(plant, content(row(plant, value="5"), row(plant, "2026-01-03 10:00")))

    (changed, new) = told.plans
    assert changed.against == version and new.against is None
    assert changed.change_texts() == [
        "10:00-10:15 changed: import 1 kW -> import 5 kW",
        "10:15-10:30 removed: import 2 kW",
    ]
    assert new.change_texts() == ["10:00-10:15 added: import 1 kW"]
    assert (told.rows, list(told.problems)) == (2, [])
    assert values(version) == [1, 2] and DayPlan.objects.count() == 1


def test_a_file_is_compared_with_the_published_version_when_nobody_edits():
    plant = factories.plant()
    published = draft(plant, slot("10:00", 1))
    PlanVersion.objects.filter(pk=published.pk).update(state=PlanState.PUBLISHED)
    open_one = draft(plant, slot("10:00", 9))
    discard_draft(organisation_id=plant.organisation_id, version_id=open_one.pk, actor=OPERATOR, at=EVE)

    (told,) = preview(plant, content(row(plant))).plans

    assert told.against == published and told.changes == []


def test_what_was_previewed_is_stored_as_drafts_with_the_files_name():
    plant = factories.plant()
    file = content(row(plant), row(plant, "2026-01-03 10:00", "7"))

    versions = confirm(plant, file, preview(plant, file).digest)

    assert [(one.plan.day, values(one)) for one in versions] == [(DAY, [1]), (date(2026, 1, 3), [7])]
    assert {(one.origin, one.note, one.state) for one in PlanVersion.objects.all()} == {
        ("CSV", "day.csv", "DRAFT")
    }


def test_another_file_than_the_previewed_one_is_refused():
    plant = factories.plant()
    digest = preview(plant, content(row(plant))).digest

    with pytest.raises(Conflict) as caught:
        confirm(plant, content(row(plant, value="2")), digest)

    assert caught.value.code == "FILE_CHANGED"
    assert not DayPlan.objects.exists()


def test_a_plan_that_changed_since_the_preview_is_not_overwritten():
    plant = factories.plant()
    file = content(row(plant))
    digest = preview(plant, file).digest
    version = draft(plant, slot("10:00", 3))

    with pytest.raises(Conflict) as caught:
        confirm(plant, file, digest)

    assert caught.value.code == "PLAN_CHANGED"
    assert values(version) == [3]


def test_a_change_between_reading_and_storing_is_seen_under_the_lock():
    plant = factories.plant()
    told = preview(plant, content(row(plant)))
    version = draft(plant, slot("10:00", 3))

    with pytest.raises(Conflict) as caught:
        store_import(organisation_id=plant.organisation_id, preview=told, actor=OPERATOR, at=EVE)

    assert caught.value.code == "PLAN_CHANGED"
    assert values(version) == [3]


def test_a_file_with_a_wrong_row_stores_nothing_and_names_each_row():
    plant = factories.plant()
    file = content(row(plant), row(plant, "2026-01-02 10:07"), "NOBODY,2026-01-02 10:00,POWER,1,IMPORT")
    told = preview(plant, file)

    with pytest.raises(Several) as caught:
        confirm(plant, file, told.digest)

    assert [(one.row, one.code) for one in told.problems] == [(3, "NOT_ON_GRID"), (4, "PLANT_NOT_FOUND")]
    assert [one.path for one in caught.value.problems] == ["file[3].start", "file[4].plant"]
    assert not DayPlan.objects.exists()


def test_a_file_without_rows_is_refused():
    plant = factories.plant()

    with pytest.raises(Invalid) as caught:
        confirm(plant, content(), preview(plant, content()).digest)

    assert caught.value.code == "NO_ROWS"


def test_a_plant_of_another_organisation_is_not_found():
    stranger = factories.plant()

    (problem,) = preview(factories.plant(), content(row(stranger))).problems

    assert problem.code == "PLANT_NOT_FOUND"


def test_a_large_file_takes_as_many_statements_as_a_small_one():
    link = factories.connection()
    plants = [factories.plant(on=link) for _ in range(6)]
    small = content(*[row(one) for one in plants[:2]])
    large = content(*[row(one, f"2026-01-0{day} 10:00") for one in plants for day in range(2, 7)])

    def run(file):
        def work():
            confirm(plants[0], file, preview(plants[0], file).digest)

        return work

    run(large)()

    assert queries_of(run(large)) == queries_of(run(small))


def test_a_file_of_most_rows_over_as_many_days_is_stored():
    plant = factories.plant(slot_minutes=60)
    days = [DAY + timedelta(days=number) for number in range(MAX_ROWS)]
    file = content(*[row(plant, f"{day} 10:00") for day in days])

    versions = confirm(plant, file, preview(plant, file).digest)

    assert len(versions) == DayPlan.objects.count() == PlanSlot.objects.count() == MAX_ROWS


SPANS = [
    span
    for day in (DAY, date(2026, 3, 29), date(2026, 10, 25))
    for span in grid_of_day(day, zone=ZONE, minutes=15)
]


@examples(15)
@given(
    asked=st.dictionaries(
        st.integers(0, len(SPANS) - 1),
        st.tuples(
            st.sampled_from(SetpointType),
            st.floats(0, 10_000_000, allow_nan=False).map(lambda number: number + 0.0),
            st.sampled_from(Direction),
            st.booleans(),
            st.sampled_from([Priority.NORMAL, Priority.HIGH]),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_what_is_exported_is_imported_as_the_same_plans(asked):
    here = factories.plant(time_zone=ZONE, external_plant_id="-SUM", on=factories.connection())
    slots = [
        PlannedSlot(
            start_at=SPANS[index].start_at, end_at=SPANS[index].end_at, type=kind, value=value,
            direction=direction, include_consumption=consumption, priority=priority,
        )
        for index, (kind, value, direction, consumption, priority) in sorted(asked.items())
    ]  # fmt: skip
    days = {}
    for one in slots:
        days.setdefault(one.start_at.astimezone(ZoneInfo(ZONE)).date(), []).append(one)
    versions = [draft(here, *some, day=day) for day, some in days.items()]

    text = export_plans(organisation_id=here.organisation_id, version_ids=[one.pk for one in versions])
    told = preview(here, text.encode())

    assert "'-SUM" in text
    assert not told.problems and [list(one.changes) for one in told.plans] == [[]] * len(versions)
    assert {one.against.pk for one in told.plans} == {one.pk for one in versions}


def test_an_export_is_bounded_and_keeps_to_its_organisation():
    plant, stranger = factories.plant(), draft(factories.plant(), slot("10:00", 1))
    with pytest.raises(NotFound):
        export_plans(organisation_id=plant.organisation_id, version_ids=[stranger.pk])
    with pytest.raises(Invalid) as caught:
        export_plans(organisation_id=plant.organisation_id, version_ids=range(1, MAX_ROWS + 2))
    version = draft(plant, slot("10:00", 1))
    step = timedelta(seconds=1)
    PlanSlot.objects.bulk_create(
        PlanSlot(version=version, start_at=EVE + step * n, end_at=EVE + step * (n + 1), type="POWER", value=1,
                 direction="IMPORT", priority="NORMAL")
        for n in range(MAX_ROWS)
    )  # fmt: skip
    with pytest.raises(Invalid) as rows:
        export_plans(organisation_id=plant.organisation_id, version_ids=[version.pk])

    assert caught.value.code == rows.value.code == "TOO_MANY_ROWS"


@pytest.mark.django_db(transaction=True)
def test_the_same_file_confirmed_twice_at_once_is_stored_once():
    plant = factories.plant()
    file = content(row(plant), row(plant, "2026-01-03 10:00"))
    digest = preview(plant, file).digest

    answers = together(*[lambda: confirm(plant, file, digest)] * 2)

    assert [one.code for one in answers if isinstance(one, Conflict)] == ["PLAN_CHANGED"]
    assert PlanEvent.objects.filter(word="MADE").count() == PlanVersion.objects.count() == 2


@pytest.mark.django_db(transaction=True)
def test_a_failure_in_the_middle_leaves_nothing(monkeypatch):
    plant = factories.plant()
    file = content(row(plant), row(plant, "2026-01-03 10:00"))
    digest = preview(plant, file).digest
    died = threading.Event()

    def die(*_args, **_more):
        died.set()
        raise RuntimeError("killed")

    monkeypatch.setattr(type(PlanEvent.objects), "bulk_create", die)
    with pytest.raises(RuntimeError):
        confirm(plant, file, digest)

    assert died.is_set()
    assert not DayPlan.objects.exists() and not PlanVersion.objects.exists()
