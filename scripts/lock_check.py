"""Says whether requirements.txt and requirements-dev.txt still follow their .in files; no network.

Every requirement must be pinned to a version that it allows, and every pin must carry a hash. `make lock` repairs.
"""

import re
import sys
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)")


def requirements(path: Path) -> list[Requirement]:
    """The requirements of an .in file."""
    lines = (line.partition("#")[0].strip() for line in path.read_text().splitlines())
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


def pins(path: Path) -> tuple[dict[str, set[str]], list[str]]:
    """Pinned versions by name (several where they depend on the platform), and the names without a hash."""
    versions: dict[str, set[str]] = {}
    bare = []
    for block in re.split(r"\n(?=[A-Za-z0-9])", path.read_text()):
        if found := PIN.match(block):
            versions.setdefault(canonicalize_name(found[1]), set()).add(found[2])
            if "--hash=" not in block:
                bare.append(found[1])
    return versions, bare


def faults(stem: str) -> list[str]:
    """What is wrong with one pair of files."""
    versions, bare = pins(ROOT / f"{stem}.txt")
    found = [f"{stem}.txt: {name} has no hash" for name in bare]
    for requirement in requirements(ROOT / f"{stem}.in"):
        pinned = versions.get(canonicalize_name(requirement.name), set())
        if not pinned:
            found.append(f"{stem}.txt: {requirement.name} is not pinned")
        found += [
            f"{stem}.txt: {requirement.name}=={version} does not satisfy {requirement}"
            for version in pinned
            if not requirement.specifier.contains(version, prereleases=True)
        ]
    return found


def main() -> None:
    found = [*faults("requirements"), *faults("requirements-dev")]
    if found:
        sys.exit("\n".join([*found, "run `make lock`"]))


if __name__ == "__main__":
    main()
