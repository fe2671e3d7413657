"""`vcp` needs the standard library and msgspec, nothing else."""

import subprocess
import sys
from pathlib import Path

import vcp

ROOT = Path(vcp.__file__).parents[1]
PROBE = """
import sys
import vcp
ours = {name.split(".")[0] for name in sys.modules} - set(sys.stdlib_module_names)
print(" ".join(sorted(name for name in ours if not name.startswith("_"))))
"""


def test_importing_it_brings_in_msgspec_alone() -> None:
    probe = subprocess.run(
        [sys.executable, "-S", "-c", PROBE],
        check=True,
        capture_output=True,
        text=True,
        timeout=30,
        cwd=ROOT,
        env={"PYTHONPATH": f"{ROOT}:{Path(sys.modules['msgspec'].__file__ or '').parents[1]}"},
    )

    # msgspec takes typing_extensions along where it is installed.
    assert set(probe.stdout.split()) - {"typing_extensions"} == {"msgspec", "vcp"}


def test_every_public_name_exists_once() -> None:
    assert len(vcp.__all__) == len(set(vcp.__all__))
    assert all(hasattr(vcp, name) for name in vcp.__all__)
