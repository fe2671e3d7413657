"""A partner's own language from `makemessages` to the page: the catalogue is whole, and its plurals are used."""

import shutil
import subprocess
from pathlib import Path

import pytest
from django.core.management import call_command
from django.test import override_settings
from django.utils import translation

import vcp
from console.dates import day_text
from console.plans.words import slots_words
from console.texts import PLURALS, TEXTS, script_texts
from plants.advice import ADVICE
from plants.words import local_text, power_text
from tests.factories import AT
from vcp.said import Numeral, said, said_many

ROOT = Path(vcp.__file__).parent.parent
ROOMS = (
    "vcp",
    "plants",
    "people",
    "metering",
    "dispatch",
    "schedules",
    "link",
    "trading_api",
    "watch",
    "console",
    "esm",
)
_TEXTS = ("*.py", "*.html", "*.txt")
CZECH = {
    "%(power)s kW is over the site's import limit of %(limit)s kW": "%(power)s kW: nad limitem odběru %(limit)s kW",
    "D j F": "D j. E",
    "Saving": "Ukládá se",
}
"""One of a rule, an order of a date, one of a script."""
COUNTED = {
    "%(count)d slot": ("%(count)d slot", "%(count)d sloty", "%(count)d slotu", "%(count)d slotů"),
    "{n} slot": ("{n} slot", "{n} sloty", "{n} slotu", "{n} slotů"),
}


def _copied(to: Path) -> Path:
    """The texts of all rooms: what is collected leaves files beside them for a moment."""
    for room in ROOMS:
        for kind in _TEXTS:
            for path in (ROOT / room).rglob(kind):
                if "assets" not in path.parts:
                    place = to / path.relative_to(ROOT)
                    place.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(path, place)
    (to / "locale").mkdir()
    return to


def _blocks(catalogue: str) -> dict[str, str]:
    """Each entry by the text that it is about."""
    found = {}
    for block in catalogue.split("\n\n"):
        lines = block.split("\n")
        told = next((at for at, line in enumerate(lines) if line.startswith("msgid ")), None)
        if told is not None:
            quoted = [lines[told].removeprefix("msgid ")]
            for line in lines[told + 1 :]:
                if not line.startswith('"'):
                    break
                quoted.append(line)
            text = "".join(one[1:-1] for one in quoted)
            found[text.replace('\\"', '"').replace("\\n", "\n").replace("\\\\", "\\")] = block
    return found


def _translated(catalogue: str) -> str:
    for text, told in CZECH.items():
        block = _blocks(catalogue)[text]
        catalogue = catalogue.replace(block, block.replace('msgstr ""', f'msgstr "{told}"'))
    for text, forms in COUNTED.items():
        block = _blocks(catalogue)[text]
        written = "\n".join(f'msgstr[{number}] "{told}"' for number, told in enumerate(forms))
        catalogue = catalogue.replace(block, block[: block.index("msgstr[0]")] + written)
    return catalogue


def test_a_language_of_one_s_own_is_collected_compiled_and_spoken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = _copied(tmp_path)
    monkeypatch.chdir(place)
    file = place / "locale/cs/LC_MESSAGES/django.po"
    with override_settings(LOCALE_PATHS=[str(place / "locale")]):
        call_command("makemessages", locale=["cs"], verbosity=0)
        catalogue = file.read_text()
        file.write_text(_translated(catalogue))
        subprocess.run(
            ["msgfmt", "--check-format", "-o", file.with_suffix(".mo"), file], check=True, timeout=60
        )
        with translation.override("cs"):
            told = {
                "rule": local_text(
                    said(
                        "%(power)s kW is over the site's import limit of %(limit)s kW", power=51.5, limit=50.0
                    )
                ),
                "slots": [slots_words(count) for count in (1, 3, 7)],
                "counted": [
                    local_text(said_many("%(count)d slot", "%(count)d slots", count)) for count in (1, 3, 7)
                ],
                "day": day_text(AT.date()),
                "power": power_text(8.2),
                "number": local_text(said("%(power)s kW", power=Numeral("2.50"))),
                "script": script_texts(),
            }

    known = _blocks(catalogue)
    missing = {*TEXTS, *PLURALS, *(one.meaning for one in ADVICE.values())} - known.keys()
    assert missing == set()
    assert len(known) > 2_500
    assert told["rule"] == "51,5 kW: nad limitem odběru 50 kW"
    assert told["slots"] == told["counted"] == ["1 slot", "3 sloty", "7 slotů"]
    assert told["day"].endswith("2. ledna")
    assert (told["power"], told["number"]) == ("8,2\u202fkW", "2,50 kW")
    assert told["script"]["Saving"] == "Ukládá se"
    assert told["script"]["{n} slot"] == {
        "0": "{n} slotů",
        "1": "{n} slot",
        "2": "{n} sloty",
        "3": "{n} sloty",
        "11": "{n} slotů",
        "100": "{n} slotů",
    }
