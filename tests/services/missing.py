"""Says exactly which Debian packages the tests need and this machine lacks.

Standard library only: it runs before there is a virtual environment (`python3 tests/services/missing.py`).
Prints the names of the missing packages, one a line, and exits 1 when there are any.
"""

import argparse
import importlib.util
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path


class MissingPackages(RuntimeError):
    """Programs that the tests need are not installed; the text says what to install."""


def _rabbitmq() -> Path | None:
    # Not /usr/sbin/rabbitmq-server: that one switches to the system's account and writes to /var/log.
    program = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    return program if program.exists() and shutil.which("erl") and shutil.which("epmd") else None


def _postgresql() -> Path | None:
    """The directory with initdb and postgres, of the newest version (Debian keeps them off the PATH)."""
    found = [
        path.parent
        for path in Path("/usr/lib/postgresql").glob("*/bin/postgres")
        if (path.parent / "initdb").exists()
    ]
    if found:
        return max(found, key=lambda path: [int(part) for part in re.findall(r"\d+", path.parent.name)])
    program = shutil.which("postgres")
    return Path(program).parent if program and shutil.which("initdb") else None


def _redis() -> Path | None:
    program = shutil.which("redis-server")
    return Path(program) if program else None


def _venv() -> Path | None:
    # Debian ships `venv` without `ensurepip`; the package python3-venv brings it.
    found = importlib.util.find_spec("ensurepip") and importlib.util.find_spec("venv")
    return Path(sys.executable) if found else None


def _chromium() -> Path | None:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    return Path(program) if program else None


def _gettext() -> Path | None:
    """All that collecting and compiling a language takes."""
    programs = [shutil.which(name) for name in ("msgfmt", "xgettext", "msgmerge", "msguniq", "msgattrib")]
    return Path(programs[0]) if programs[0] and all(programs) else None


FINDERS: dict[str, Callable[[], Path | None]] = {
    "python3-venv": _venv,
    "rabbitmq-server": _rabbitmq,
    "postgresql": _postgresql,
    "redis-server": _redis,
    "chromium": _chromium,
    "gettext": _gettext,
}
SERVERS = ("rabbitmq-server", "postgresql", "redis-server")


def missing_packages(needed: tuple[str, ...] = SERVERS) -> list[str]:
    """The Debian packages among `needed` whose programs are not there."""
    return [package for package in needed if FINDERS[package]() is None]


def advice(packages: list[str]) -> str:
    """What to type to get them."""
    return f"missing: {', '.join(packages)}; install with: sudo apt-get install {' '.join(packages)}"


def require(package: str) -> Path:
    """Where the package's program is; MissingPackages with the command to type when it is not installed."""
    found = FINDERS[package]()
    if found is None:
        raise MissingPackages(advice([package]))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", nargs="*", default=SERVERS, help=f"of {', '.join(FINDERS)}")
    packages = missing_packages(tuple(parser.parse_args().package))
    for package in packages:
        print(package)
    return 1 if packages else 0


if __name__ == "__main__":
    sys.exit(main())
