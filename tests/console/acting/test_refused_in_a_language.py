"""What is refused about a command, in a made-up language: at its field, above the form, and as it is typed."""

from django.test import Client, override_settings

from plants.models import Plant
from tests.console.acting.helpers import ASKS, HX, review, url
from tests.console.acting.test_checking import OBSTACLES, WRONG
from tests.console.pseudo import LANGUAGE, Shown, pseudo_language
from tests.console.test_translated import in_english, words_in_rows

MORE = (
    ("setpoint", {"amount": "1e400"}),
    ("setpoint", {"reason": "x" * 600}),
    ("setpoint", {"until": "at", "until_at": "2025-01-02T03:00"}),
    ("setpoint", {"until": "at", "until_at": "2036-01-02T03:00"}),
    ("setpoint", {"target": "ENERGY", "interval_minutes": "60", "amount": "900"}),
    ("device", {"asset": "S1", "action": "FVE_REDUCE_PERCENT", "amount": ""}),
    ("device", {"amount": "900"}),
    ("device", {"until": "none", "amount": "0"}),
    ("device", {"action": "NOTHING"}),
    ("mode", {"until": "at", "until_at": "2025-01-02T03:00"}),
)

_LATCH_FIRST = "PLANT_LATCHED"
"""An emergency needs a connection: what comes after may take that away."""


def _english(answer, written: frozenset[str]) -> list[str]:
    shown = Shown()
    shown.feed(answer.content.decode())
    found = [(tag, text, list(in_english(text, written))) for tag, text in shown.texts if tag != "time@title"]
    return [f"{tag}: {text[:100]} {words}" for tag, text, words in found if words]


def test_every_refusal_of_a_command_is_said_in_the_language_of_the_page(
    operator_client: Client, plant: Plant
) -> None:
    english, refused = [], 0
    written = words_in_rows()
    asked = [(tab, changes) for tab, changes, _, _ in WRONG] + list(MORE)

    with override_settings(PAGE_LANGUAGE=LANGUAGE), pseudo_language():
        for tab, changes in asked:
            reviewed = review(operator_client, plant, tab, **changes)
            checked = operator_client.post(url("check", plant, tab), ASKS[tab] | changes, headers=HX)
            refused += reviewed.status_code == 422
            english += [
                f"{tab} {changes}: {one}" for one in _english(reviewed, written) + _english(checked, written)
            ]
        for code in sorted(OBSTACLES, key=_LATCH_FIRST.__ne__):
            OBSTACLES[code][0](plant)
            for tab in ASKS:
                english += [
                    f"{code}: {one}" for one in _english(review(operator_client, plant, tab), written)
                ]

    assert english == [], "\n".join(english)
    assert refused > 20
