"""`manage.py dead_letters`: listed, replayed and discarded from the shell, never all by accident."""

import io

import pytest
from django.core.management import CommandError, call_command

from esm import clock
from plants.models import Alarm, DeadLetter
from tests import factories
from tests.factories import AT
from tests.link.helpers import alarm, delivery, hear

pytestmark = pytest.mark.django_db
UUID = "7a1d2c3b-4e5f-4a6b-8c7d-9e0f1a2b3c4d"


@pytest.fixture(autouse=True)
def _still_clock():
    with clock.frozen(AT):
        yield


def run(*words: str) -> tuple[int, list[str]]:
    """(exit code, lines)."""
    out = io.StringIO()
    try:
        call_command("dead_letters", *words, stdout=out)
    except SystemExit as end:
        return int(end.code or 0), out.getvalue().splitlines()
    return 0, out.getvalue().splitlines()


def two_letters():
    """One that a plant's UUID mends, and one that nothing mends."""
    link = factories.connection()
    hear(link, alarm(UUID))
    hear(link, delivery(b"nonsense"))
    factories.plant(on=link, voke_uuid=UUID)
    return link, *DeadLetter.objects.order_by("pk")


def test_open_letters_are_listed_with_reason_field_and_count():
    link, unknown, garbled = two_letters()

    code, lines = run("list")

    assert code == 0
    assert f"{unknown.pk} OPEN UNKNOWN_SITE siteId x1 2026-01-02T03:00:00+00:00" in lines[1]
    assert lines[0].endswith(f"connection {link.pk} acme.event.alarm")
    assert lines[0].startswith(f"{garbled.pk} OPEN MALFORMED_JSON - x1")


def test_a_list_is_narrowed_and_bounded():
    link, unknown, _ = two_letters()

    assert run("list", "--reason", "UNKNOWN_SITE")[1][0].startswith(f"{unknown.pk} ")
    assert run("list", "--connection", str(link.pk), "--limit", "1")[1][1].startswith("and more")
    assert run("list", "--state", "DISCARDED")[1] == ["none"]
    with pytest.raises(CommandError, match="--limit"):
        run("list", "--limit", "0")


def test_letters_are_replayed_by_number_and_the_exit_code_tells_whether_all_are_settled():
    _, unknown, garbled = two_letters()

    code, lines = run("replay", str(unknown.pk), str(garbled.pk), "--by", "jana")
    again = run("replay", str(unknown.pk))

    assert code == 1
    assert lines[0] == f"{unknown.pk} APPLIED"
    assert lines[1].startswith(f"{garbled.pk} DEAD_AGAIN: MALFORMED_JSON")
    assert lines[2] == "1 settled, 1 not"
    assert again == (0, [f"{unknown.pk} SETTLED", "1 settled, 0 not"])
    assert Alarm.objects.count() == 1
    assert unknown.events.get().actor == "jana"


def test_open_letters_of_a_reason_are_replayed_together():
    _, unknown, _ = two_letters()

    assert run("replay", "--reason", "UNKNOWN_SITE") == (0, [f"{unknown.pk} APPLIED", "1 settled, 0 not"])


def test_letters_are_discarded_with_a_note():
    _, _, garbled = two_letters()

    lines = run("discard", str(garbled.pk), "--note", "test bench")[1]

    assert lines == ["1 discarded, 0 were not open"]
    assert garbled.events.get().note == "test bench"
    with pytest.raises(CommandError, match="note"):
        run("discard", str(garbled.pk), "--note", "  ")


@pytest.mark.parametrize("words", [("replay",), ("replay", "1", "--reason", "X"), ("discard", "--note", "x")])
def test_neither_all_letters_nor_an_ambiguous_choice_is_taken(words):
    with pytest.raises(CommandError, match="name letters"):
        run(*words)
