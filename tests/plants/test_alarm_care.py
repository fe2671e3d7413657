"""Caring for alarms: who was first, what may be closed, and that nothing is done twice or for strangers."""

from datetime import timedelta

import pytest

from plants.errors import Conflict, Invalid, NotFound
from plants.models import AlarmCase, AlarmNote, User
from plants.selectors.alarm_inbox import (
    Filters,
    Inbox,
    Tab,
    case_of,
    choices_of,
    count_needing_work,
    counts_of,
    page_of,
)
from plants.services.alarm_care import acknowledge, assign, close, comment, reopen, take_back
from plants.services.alarms import clear_platform_alarm, raise_platform_alarm
from tests import factories
from tests.factories import AT
from tests.queries import queries_of
from tests.threads import together

pytestmark = pytest.mark.django_db


def later(minutes):
    return AT + timedelta(minutes=minutes)


def person(organisation, name="petr", **facts):
    return User.objects.create_user(name, organisation=organisation, role="OPERATOR", **facts)


def raised(plant, alarm_id="a", *, severity="ERROR", code="DRIFT", at=AT):
    raise_platform_alarm(
        connection_id=None,
        plant_id=plant.pk,
        alarm_id=alarm_id,
        severity=severity,
        code=code,
        message="",
        at=at,
    )
    return AlarmCase.objects.order_by("-pk").first()


def inbox_of(user):
    return Inbox(organisation_id=user.organisation_id, user_id=user.pk)


def test_who_acknowledges_what_nobody_owns_owns_it():
    plant = factories.plant()
    petr = person(plant.organisation)
    case = raised(plant)

    acknowledge(case_id=case.pk, by=petr, at=later(1))

    case.refresh_from_db()
    assert (case.acknowledged_by, case.acknowledged_at, case.owner) == (petr, later(1), petr)
    assert case.acknowledged_rank == 2


def test_the_second_to_acknowledge_hears_who_was_first():
    plant = factories.plant()
    petr, eva = person(plant.organisation), person(plant.organisation, "eva")
    case = raised(plant)
    acknowledge(case_id=case.pk, by=petr, at=later(1))

    with pytest.raises(Conflict, match="petr") as refused:
        acknowledge(case_id=case.pk, by=eva, at=later(2))

    assert refused.value.code == "ALREADY_ACKNOWLEDGED"


@pytest.mark.django_db(transaction=True)
def test_of_two_at_once_one_acknowledges():
    plant = factories.plant()
    people = [person(plant.organisation), person(plant.organisation, "eva")]
    case = raised(plant)

    answers = together(*(lambda by=by: acknowledge(case_id=case.pk, by=by, at=later(1)) for by in people))

    assert sorted(type(answer).__name__ for answer in answers) == ["AlarmNote", "Conflict"]
    assert AlarmNote.objects.count() == 1


def test_a_form_sent_twice_is_done_once():
    plant = factories.plant()
    petr = person(plant.organisation)
    case = raised(plant)

    notes = [comment(case_id=case.pk, text="on it", by=petr, request_key="k", at=later(1)) for _ in range(2)]

    assert notes[0] == notes[1]
    assert AlarmNote.objects.count() == 1


def test_taking_back_leaves_it_as_it_was():
    plant = factories.plant()
    petr = person(plant.organisation)
    case = raised(plant)
    acknowledge(case_id=case.pk, by=petr, at=later(1))

    take_back(case_id=case.pk, by=petr, at=later(2))

    case.refresh_from_db()
    assert (case.acknowledged_at, case.acknowledged_rank, case.owner) == (None, None, None)


def test_taking_back_leaves_an_owner_that_was_assigned():
    plant = factories.plant()
    petr = person(plant.organisation)
    case = raised(plant)
    assign(case_id=case.pk, owner=petr, by=petr, at=later(1))
    acknowledge(case_id=case.pk, by=petr, at=later(2))

    take_back(case_id=case.pk, by=petr, at=later(3))

    case.refresh_from_db()
    assert case.owner == petr


def test_a_stranger_or_somebody_who_left_cannot_own_it():
    plant = factories.plant()
    petr = person(plant.organisation)
    case = raised(plant)
    gone = person(plant.organisation, "gone", is_active=False)
    stranger = person(factories.organisation(), "stranger")

    for other in (gone, stranger):
        with pytest.raises(Invalid) as refused:
            assign(case_id=case.pk, owner=other, by=petr, at=later(1))
        assert (refused.value.code, refused.value.path) == ("NOT_A_MEMBER", "owner")


def test_what_still_stands_is_closed_only_with_a_reason():
    plant = factories.plant()
    petr = person(plant.organisation)
    case = raised(plant)

    with pytest.raises(Invalid) as refused:
        close(case_id=case.pk, why="  ", by=petr, at=later(1))
    close(case_id=case.pk, why="sensor replaced", by=petr, at=later(2))

    case.refresh_from_db()
    assert (refused.value.code, refused.value.path) == ("REASON_REQUIRED", "why")
    assert (case.closed_at, case.closed_by, case.closed_why) == (later(2), petr, "sensor replaced")


def test_what_is_over_is_closed_without_one():
    plant = factories.plant()
    petr = person(plant.organisation)
    case = raised(plant)
    clear_platform_alarm(connection_id=None, alarm_id="a", at=later(1))

    close(case_id=case.pk, why="", by=petr, at=later(2))

    case.refresh_from_db()
    assert case.closed_at == later(2)


@pytest.mark.parametrize("act", [acknowledge, take_back])
def test_a_closed_one_takes_no_more_than_comments(act):
    plant = factories.plant()
    petr = person(plant.organisation)
    case = raised(plant)
    close(case_id=case.pk, why="known", by=petr, at=later(1))

    comment(case_id=case.pk, text="for the record", by=petr, at=later(2))
    with pytest.raises(Conflict) as refused:
        act(case_id=case.pk, by=petr, at=later(2))

    assert refused.value.code == "ALREADY_CLOSED"


def test_one_that_is_opened_again_takes_in_new_alarms():
    plant = factories.plant()
    petr = person(plant.organisation)
    case = raised(plant)
    close(case_id=case.pk, why="known", by=petr, at=later(1))

    reopen(case_id=case.pk, by=petr, at=later(2))

    assert raised(plant, "b", at=later(3)) == case
    case.refresh_from_db()
    assert case.occurrences == 2


def test_one_that_is_opened_again_beside_a_newer_one_leaves_new_alarms_to_that():
    plant = factories.plant()
    petr = person(plant.organisation)
    old = raised(plant)
    close(case_id=old.pk, why="known", by=petr, at=later(1))
    new = raised(plant, "b", at=later(2))

    reopen(case_id=old.pk, by=petr, at=later(3))

    assert raised(plant, "c", at=later(4)) == new
    assert list(AlarmCase.objects.order_by("pk").values_list("occurrences", flat=True)) == [1, 2]


def test_nobody_cares_for_a_case_that_does_not_exist():
    petr = person(factories.organisation())

    with pytest.raises(NotFound):
        acknowledge(case_id=4711, by=petr, at=AT)


# --- the inbox --------------------------------------------------------------------------------------------------------


def test_what_stands_comes_first_then_the_worst_then_the_newest():
    plant = factories.plant()
    petr = person(plant.organisation)
    over = raised(plant, "over", severity="CRITICAL", code="A")
    clear_platform_alarm(connection_id=None, alarm_id="over", at=later(1))
    mild = raised(plant, "mild", severity="INFO", code="B", at=later(2))
    old = raised(plant, "old", severity="ERROR", code="C", at=later(3))
    new = raised(plant, "new", severity="ERROR", code="D", at=later(4))
    worst = raised(plant, "worst", severity="CRITICAL", code="E", at=AT)

    page = page_of(inbox_of(petr), tab=Tab.OPEN, filters=Filters())

    assert list(page.rows) == [worst, new, old, mild, over]
    assert page.next == ""


@pytest.mark.parametrize("tab", [Tab.OPEN, Tab.CLOSED])
def test_pages_hold_every_row_once(tab):
    plant = factories.plant()
    petr = person(plant.organisation)
    for number in range(11):
        case = raised(
            plant,
            f"a{number}",
            severity=("INFO", "ERROR")[number % 2],
            code=f"C{number}",
            at=later(number // 3),
        )
        if number % 3 == 0:
            clear_platform_alarm(connection_id=None, alarm_id=f"a{number}", at=later(20))
        if tab is Tab.CLOSED:
            close(case_id=case.pk, why="known", by=petr, at=later(30 + number // 4))

    seen, after = [], ""
    for _ in range(9):
        page = page_of(inbox_of(petr), tab=tab, filters=Filters(), after=after, limit=2)
        seen += [row.pk for row in page.rows]
        after = page.next
        if not after:
            break

    whole = [row.pk for row in page_of(inbox_of(petr), tab=tab, filters=Filters()).rows]
    assert seen == whole
    assert len(set(seen)) == 11


@pytest.mark.parametrize("after", ["x", "1.2.3", "1.2.3.4.5", "²"])
def test_a_wrong_place_in_the_list_is_refused(after):
    petr = person(factories.organisation())

    with pytest.raises(Invalid) as refused:
        page_of(inbox_of(petr), tab=Tab.OPEN, filters=Filters(), after=after)

    assert refused.value.code == "INVALID_CURSOR"


def test_tabs_and_their_counts():
    plant = factories.plant()
    petr, eva = person(plant.organisation), person(plant.organisation, "eva")
    mine, hers, nobodys, closed = (raised(plant, f"a{n}", code=f"C{n}") for n in range(4))
    assign(case_id=mine.pk, owner=petr, by=petr, at=later(1))
    assign(case_id=hers.pk, owner=eva, by=petr, at=later(1))
    close(case_id=closed.pk, why="known", by=petr, at=later(1))

    shown = {tab: set(page_of(inbox_of(petr), tab=tab, filters=Filters()).rows) for tab in Tab}

    assert shown[Tab.OPEN] == {mine, hers, nobodys}
    assert (shown[Tab.MINE], shown[Tab.UNOWNED], shown[Tab.CLOSED]) == ({mine}, {nobodys}, {closed})
    assert counts_of(inbox_of(petr)) == {Tab.OPEN: 3, Tab.MINE: 1, Tab.UNOWNED: 1}


def test_filters_narrow_by_severity_plant_origin_and_code():
    plant = factories.plant()
    other = factories.plant(on=plant.connection)
    petr = person(plant.organisation)
    strange = raised(plant, "s", severity="NOTICE", code="S")
    error = raised(other, "e", severity="ERROR", code="E")

    def found(**facts):
        return list(page_of(inbox_of(petr), tab=Tab.OPEN, filters=Filters(**facts)).rows)

    assert found(severity="OTHER") == [strange]
    assert found(severity="ERROR") == found(plant_id=other.pk) == found(code="E") == [error]
    assert found(origin="VOKE") == []
    assert choices_of(inbox_of(petr), tab=Tab.OPEN).codes == ["E", "S"]


def test_strangers_do_not_see_it_and_staff_also_see_the_installations():
    plant = factories.plant()
    case = raised(plant)
    raise_platform_alarm(connection_id=None, alarm_id="t", severity="ERROR", code="TICK", message="", at=AT)
    of_installation = AlarmCase.objects.get(code="TICK")
    stranger = person(factories.organisation())
    petr = person(plant.organisation, "own")
    staff = Inbox(organisation_id=plant.organisation_id, user_id=petr.pk, with_installation=True)

    with pytest.raises(NotFound):
        case_of(inbox_of(stranger), case_id=case.pk)
    with pytest.raises(NotFound):
        case_of(inbox_of(petr), case_id=of_installation.pk)

    assert case_of(staff, case_id=of_installation.pk) == of_installation


def test_work_is_what_stands_and_nobody_acknowledged():
    plant = factories.plant()
    petr = person(plant.organisation)
    cases = [raised(plant, f"a{n}", code=f"C{n}") for n in range(5)]
    acknowledge(case_id=cases[0].pk, by=petr, at=later(1))
    close(case_id=cases[1].pk, why="known", by=petr, at=later(1))
    clear_platform_alarm(connection_id=None, alarm_id="a2", at=later(1))

    assert count_needing_work(plant.organisation_id) == 2
    assert count_needing_work(plant.organisation_id, limit=1) == 1


def test_a_page_takes_one_statement_however_long_it_is():
    plant = factories.plant()
    petr = person(plant.organisation)
    for number in range(20):
        raised(plant, f"a{number}", code=f"C{number}")

    def names():
        return [
            (row.plant.name, row.latest.message)
            for row in page_of(inbox_of(petr), tab=Tab.OPEN, filters=Filters()).rows
        ]

    assert queries_of(names) == 1
