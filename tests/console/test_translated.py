"""Every screen in a made-up language: nothing that people read or hear stays in English, and numbers are its own.

What stays as it is: names and texts that somebody wrote or that were written down, ids, codes, wire names and units.
"""

import re
from collections.abc import Iterator
from html.parser import HTMLParser

import pytest
from django.apps import apps
from django.test import Client, override_settings

from console.connect import views_sites
from esm import clock
from people.models import AuditEntry
from plants.models import AlarmCase
from tests.browser.console.screens import Lived, lived_in
from tests.console.pseudo import LANGUAGE, Shown, pseudo, pseudo_language
from tests.factories import AT

# Where words of people, and words that were written down in English, come from.
_WRITTEN = (
    ("plants.Organisation", "name"),
    ("plants.Plant", "name"),
    ("plants.Asset", "name"),
    ("plants.Connection", "name"),
    ("plants.Alarm", "message"),
    ("plants.TimeConfigVersion", "changes"),
    ("plants.User", "username"),
    ("plants.User", "first_name"),
    ("plants.User", "last_name"),
    ("people.OneTimeLink", "name"),
    ("people.OneTimeLink", "made_by_name"),
    ("people.AuditEntry", "subject"),
    ("people.AuditEntry", "after"),
    ("people.AuditEntry", "reason"),
    ("metering.Gap", "cause_detail"),
    ("dispatch.Command", "requested_by_name"),
    ("dispatch.Command", "reason"),
    ("schedules.Override", "reason"),
    ("schedules.PlanVersion", "note"),
    ("schedules.PlanVersion", "made_by_name"),
    ("schedules.SlotRun", "winner"),
    ("trading_api.Credential", "label"),
    ("trading_api.Credential", "client_id"),
)
# The product, units, time zones, the initials of who looks, endpoints of the reverse channel, a wire name of one word.
_KNOWN = frozenset(
    [
        "Busbar",
        "kW",
        "MW",
        "kWh",
        "MWh",
        "kWp",
        "ms",
        "min",
        "UTC",
        "SoC",
        "Europe",
        "Prague",
        "JD",
        "config",
        "amqps",
        "mode",
    ]
)
_WORD = re.compile(r"[\w\[\].:/@-]*[A-Za-z]{2}[\w\[\].:/@-]*")
# Codes and ids: capitals only, a digit, an inner capital, or a mark of addresses, paths and wire names within.
_CODE = re.compile(r"[A-Z]+|.*(?:\d|[a-z][A-Z]|_|\w[.:/@\[]\w).*")
_DECIMAL = re.compile(r"-?\d+,\d+%?")


class _Values(HTMLParser):
    """Attributes for machines: sizes, positions, data."""

    def __init__(self) -> None:
        super().__init__()
        self.local: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        shown = {"title", "aria-label", "placeholder"}
        if tag == "input" and ("type", "text") in attrs:
            shown.add("value")
        self.local += [
            f"{tag} {name}={value}"
            for name, value in attrs
            if value and name not in shown and _DECIMAL.fullmatch(value)
        ]


@pytest.fixture
def lived(db: None, monkeypatch: pytest.MonkeyPatch) -> Lived:
    # Nobody is asked for Voke's list of sites: a thread would not see this transaction's rows.
    monkeypatch.setattr(views_sites, "_read", lambda _connection: None)
    with clock.frozen(AT):
        return lived_in()


def words_in_rows() -> frozenset[str]:
    """Words that stand in rows."""
    found: set[str] = set()
    for label, field in _WRITTEN:
        for value in apps.get_model(label).objects.values_list(field, flat=True):
            found |= set(re.findall(r"\w+", str(value)))
    return frozenset(found)


def in_english(text: str, written: frozenset[str]) -> Iterator[str]:
    for found in _WORD.findall(text):
        word = found.strip(".:/-[]@")
        parts = re.findall(r"[^\W_]+", word)
        if not _CODE.fullmatch(word) and not all(one in written or one in _KNOWN for one in parts):
            yield word


def test_no_screen_shows_a_text_that_is_not_translated_and_no_number_for_machines_follows_the_language(
    lived: Lived,
) -> None:
    client = Client()
    client.force_login(lived.person)
    written = words_in_rows()
    english, local, decimals = [], [], 0
    with clock.frozen(AT), override_settings(PAGE_LANGUAGE=LANGUAGE), pseudo_language():
        for name, path in lived.paths.items():
            page = client.get(path, follow=True).content.decode()
            shown, values = Shown(), _Values()
            shown.feed(page)
            values.feed(page)
            assert len(shown.texts) > 10, name
            decimals += len(re.findall(r"\d,\d\d?[<\u202f]", page))
            local += [f"{name}: {one}" for one in values.local]
            english += [
                f"{name}, {tag}: {text[:120]} {words}"
                for tag, text in shown.texts
                if tag != "time@title" and (words := list(in_english(text, written)))
            ]

    assert english == [], "\n".join(english)
    assert local == [], "\n".join(local)
    assert decimals > 20, "numbers that people read follow the language"


def test_what_is_written_down_does_not_depend_on_the_language_of_who_acts(lived: Lived) -> None:
    client = Client()
    client.force_login(lived.person)
    case = AlarmCase.objects.filter(
        organisation=lived.organisation, acknowledged_at=None, closed_at=None, code="CONSTRAINT_VIOLATION"
    ).earliest("pk")

    with clock.frozen(AT), override_settings(PAGE_LANGUAGE=LANGUAGE), pseudo_language():
        answer = client.post(
            f"/console/alarms/{case.pk}/acknowledge/", {"request_key": "k"}, headers={"HX-Request": "true"}
        )

    assert answer.status_code == 200
    assert pseudo("Constraint violation") in answer.content.decode()
    entry = AuditEntry.objects.latest("pk")
    assert entry.action == "alarm.acknowledged"
    assert entry.subject.startswith("Constraint violation, ")
