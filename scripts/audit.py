"""Asks for known vulnerabilities of the pinned requirements; part of `make check`.

    python scripts/audit.py

A known vulnerability fails with its id, unless `scripts/audit_ignore.txt` accepts it with a reason and a last day; an
entry past its day fails by itself. Without a network the audit says so in one line and passes: a check must not depend
on somebody else's server being up. A package of which the source knows nothing counts as not audited, not as sound.
"""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from esm import clock

ROOT = Path(__file__).resolve().parent.parent
FILES = ("requirements.txt", "requirements-dev.txt")
IGNORED = ROOT / "scripts" / "audit_ignore.txt"
TIMEOUT_S = 120.0
_ENTRY = re.compile(r"(\S+) (\d{4}-\d{2}-\d{2}) (\S.*)")
_UNREACHABLE = re.compile(
    r"Could not connect|not redirecting properly|ConnectionError|ConnectTimeout|ReadTimeout|Max retries exceeded"
    r"|NameResolutionError|ProxyError|SSLError|HTTPError|ServiceError|Connection (?:refused|aborted|reset)"
)


class Unreachable(Exception):
    """The source of vulnerabilities did not answer."""


class Broken(Exception):
    """The audit itself could not be made; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A known vulnerability of a pinned package; `names` are all ids it goes by."""

    package: str
    names: frozenset[str]
    fixed_in: str

    def __str__(self) -> str:
        return f"{self.package}: {', '.join(sorted(self.names))} (fixed in {self.fixed_in or 'no version'})"


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What the source knew: how many packages it looked at, which it does not know, what it found."""

    audited: int
    unknown: Sequence[str] = ()
    findings: Sequence[Finding] = ()


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """An accepted vulnerability: until when, and why."""

    name: str
    until: date
    reason: str = field(compare=False)


def command() -> list[str]:
    """pip-audit over the hashed requirements; nothing is resolved or installed."""
    files = [word for name in FILES for word in ("--requirement", str(ROOT / name))]
    options = [
        "--require-hashes",
        "--disable-pip",
        "--progress-spinner",
        "off",
        "--format",
        "json",
        "--timeout",
        "10",
    ]
    return [sys.executable, "-m", "pip_audit", *files, *options]


def ask(words: Sequence[str], *, timeout_s: float) -> Audit:
    """Run the audit; raises Unreachable or Broken."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=timeout_s, check=False)  # noqa: S603
    except subprocess.TimeoutExpired as error:
        raise Unreachable(f"no answer within {timeout_s:g} s") from error
    try:
        packages = json.loads(done.stdout)["dependencies"]
    except (ValueError, LookupError, TypeError) as error:
        said = done.stderr.strip() or done.stdout.strip() or f"exit {done.returncode}"
        if _UNREACHABLE.search(said):
            raise Unreachable(said.splitlines()[-1][:200]) from error
        raise Broken(said[-2000:]) from error
    return _read(packages)


def _read(packages: Sequence[dict[str, object]]) -> Audit:
    findings: list[Finding] = []
    unknown = [str(one["name"]) for one in packages if "skip_reason" in one]
    for one in packages:
        vulnerabilities = one.get("vulns", [])
        if not isinstance(vulnerabilities, list):
            raise Broken(f"{one.get('name')}: an answer in another form than pip-audit's")
        for found in vulnerabilities:
            names = frozenset({found["id"], *found.get("aliases", [])})
            package = f"{one['name']} {one['version']}"
            findings.append(Finding(package=package, names=names, fixed_in=", ".join(found["fix_versions"])))
    return Audit(audited=len(packages) - len(unknown), unknown=unknown, findings=findings)


def accepted(text: str) -> list[Accepted]:
    """The entries of the ignore file, one a line: `ID YYYY-MM-DD why`; raises Broken with the line's number."""
    entries = []
    for number, line in enumerate(text.splitlines(), start=1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        found = _ENTRY.fullmatch(content)
        try:
            if found is None:
                raise ValueError("not in this form")
            entries.append(Accepted(name=found[1], until=date.fromisoformat(found[2]), reason=found[3]))
        except ValueError as error:
            raise Broken(f"{IGNORED.name}, line {number}: expected ID YYYY-MM-DD why") from error
    return entries


def problems(audit: Audit, entries: Sequence[Accepted], *, today: date) -> list[str]:
    """What fails the check: findings that nobody accepted, and acceptances whose day has passed."""
    in_force = {entry.name for entry in entries if today <= entry.until}
    found = [str(finding) for finding in audit.findings if not finding.names & in_force]
    return found + expired(entries, today=today)


def expired(entries: Sequence[Accepted], *, today: date) -> list[str]:
    """Acceptances whose day has passed: look again."""
    return [f"{one.name}: accepted until {one.until} ({one.reason})" for one in entries if one.until < today]


def run(
    words: Sequence[str], ignored: str, *, today: date, timeout_s: float = TIMEOUT_S
) -> tuple[int, list[str]]:
    """The exit code and the lines to print."""
    try:
        entries = accepted(ignored)
        audit = ask(words, timeout_s=timeout_s)
    except Unreachable as error:
        old = expired(entries, today=today)
        return int(bool(old)), [*old, f"audit: not done, vulnerability data can't be reached: {error}"]
    except Broken as error:
        return 1, [f"audit: {error}"]
    found = problems(audit, entries, today=today)
    if not audit.audited:
        return int(bool(found)), [
            *found,
            "audit: not done, the source knows none of the packages (a mirror?)",
        ]
    summary = f"audit: {audit.audited} packages, {len(found)} problems"
    if audit.unknown:
        summary += f"; not audited: {', '.join(audit.unknown)}"
    return int(bool(found)), [*found, summary]


def main() -> None:
    code, lines = run(command(), IGNORED.read_text(encoding="utf-8"), today=clock.now().date())
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    sys.exit(code)


if __name__ == "__main__":
    main()
