"""The dependency audit: what is known fails, what is accepted does not for a while, and no network is no failure."""

import json
import sys
from datetime import date
from typing import Any

import pytest

from scripts import audit

TODAY = date(2026, 1, 2)


def source(document: Any = None, *, stderr: str = "", code: int = 0) -> list[str]:
    """A command that answers as pip-audit does."""
    stdout = "" if document is None else json.dumps(document)
    program = f"import sys; sys.stdout.write({stdout!r}); sys.stderr.write({stderr!r}); sys.exit({code})"
    return [sys.executable, "-c", program]


def answer(*vulnerabilities: dict[str, Any], unknown: tuple[str, ...] = ()) -> dict[str, Any]:
    django = {"name": "django", "version": "5.2.1", "vulns": list(vulnerabilities)}
    return {
        "dependencies": [django, *({"name": one, "skip_reason": "not found"} for one in unknown)],
        "fixes": [],
    }


VULNERABILITY = {
    "id": "PYSEC-2026-1",
    "fix_versions": ["5.2.2"],
    "aliases": ["CVE-2026-1"],
    "description": "bad",
}


def test_no_known_vulnerability_passes_and_says_how_many_were_looked_at() -> None:
    assert audit.run(source(answer()), "", today=TODAY) == (0, ["audit: 1 packages, 0 problems"])


def test_a_known_vulnerability_fails_with_its_ids_and_the_fixed_version() -> None:
    code, lines = audit.run(source(answer(VULNERABILITY), code=1), "", today=TODAY)

    assert code == 1
    assert lines[0] == "django 5.2.1: CVE-2026-1, PYSEC-2026-1 (fixed in 5.2.2)"


@pytest.mark.parametrize("name", ["PYSEC-2026-1", "CVE-2026-1"])
def test_an_accepted_vulnerability_passes_until_its_last_day_under_each_of_its_names(name: str) -> None:
    ignored = f"# why\n{name} 2026-01-02 we never call it\n"

    assert audit.run(source(answer(VULNERABILITY), code=1), ignored, today=TODAY)[0] == 0


@pytest.mark.parametrize("document", [answer(VULNERABILITY), answer()], ids=["still there", "gone"])
def test_an_acceptance_past_its_day_fails(document: dict[str, Any]) -> None:
    code, lines = audit.run(source(document), "CVE-2026-1 2026-01-01 we never call it", today=TODAY)

    assert code == 1
    assert "CVE-2026-1: accepted until 2026-01-01 (we never call it)" in lines


@pytest.mark.parametrize("line", ["CVE-2026-1", "CVE-2026-1 2026-02-30 no such day", "CVE-2026-1 2026-03-01"])
def test_an_acceptance_without_day_or_reason_fails_with_its_line(line: str) -> None:
    code, lines = audit.run(source(answer()), f"\n{line}\n", today=TODAY)

    assert (code, lines) == (1, ["audit: audit_ignore.txt, line 2: expected ID YYYY-MM-DD why"])


@pytest.mark.parametrize(
    "stderr",
    [
        "ERROR:pip_audit._cli:Could not connect to PyPI's vulnerability feed",
        "requests.exceptions.ConnectionError: HTTPSConnectionPool: Max retries exceeded",
    ],
)
def test_a_source_that_can_not_be_reached_is_said_and_passes(stderr: str) -> None:
    code, lines = audit.run(source(stderr=stderr, code=1), "", today=TODAY)

    assert code == 0
    assert len(lines) == 1
    assert lines[0].startswith("audit: not done, vulnerability data can't be reached: ")


def test_a_source_that_does_not_answer_is_given_up() -> None:
    stuck = [sys.executable, "-c", "import threading; threading.Event().wait()"]

    code, lines = audit.run(stuck, "", today=TODAY, timeout_s=0.2)

    assert (code, lines) == (
        0,
        ["audit: not done, vulnerability data can't be reached: no answer within 0.2 s"],
    )


def test_an_expired_acceptance_fails_without_a_network_too() -> None:
    offline = source(stderr="ConnectionError", code=1)

    assert audit.run(offline, "CVE-2026-1 2026-01-01 old", today=TODAY)[0] == 1


def test_an_audit_that_fails_by_itself_is_no_missing_network() -> None:
    code, lines = audit.run(
        source(stderr="error: unrecognized arguments: --nonsense", code=2), "", today=TODAY
    )

    assert (code, lines) == (1, ["audit: error: unrecognized arguments: --nonsense"])


def test_a_mirror_that_knows_no_package_is_not_taken_for_an_audit() -> None:
    """Regression: pip-audit answers "no known vulnerabilities found" when it could look up nothing at all."""
    none = {"dependencies": [{"name": "django", "skip_reason": "not found"}]}

    assert audit.run(source(none), "", today=TODAY) == (
        0,
        ["audit: not done, the source knows none of the packages (a mirror?)"],
    )


def test_packages_that_the_source_does_not_know_are_named() -> None:
    _, lines = audit.run(source(answer(unknown=("ours",))), "", today=TODAY)

    assert lines == ["audit: 1 packages, 0 problems; not audited: ours"]


def test_the_real_command_asks_about_both_files_by_their_hashes_and_takes_no_other_index() -> None:
    words = audit.command()

    assert [word.rsplit("/", 1)[-1] for word in words if word.endswith(".txt")] == list(audit.FILES)
    assert {"--require-hashes", "--disable-pip"} <= set(words)


def test_the_ignore_file_is_in_its_own_form() -> None:
    entries = audit.accepted(audit.IGNORED.read_text(encoding="utf-8"))

    assert len({entry.name for entry in entries}) == len(entries)
