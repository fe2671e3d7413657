"""Twenty faults in a row against the real processes: nothing lost, doubled or late. `make soak` runs more.

The run has servers of its own, because it restarts and kills them, hence a process of its own. FAULT_SEED and FAULTS
choose another run.
"""

import os
import sys

import pytest

from tests.process.processes import ROOT
from tests.services.proc import ManagedProcess, child_environment

SEED = os.environ.get("FAULT_SEED", "18089")
FAULTS = os.environ.get("FAULTS", "20")
MOST_S = 1800


@pytest.mark.timeout(MOST_S + 60)
def test_twenty_faults_lose_nothing_double_nothing_and_send_nothing_late(tmp_path):
    process = ManagedProcess(
        "faults",
        [sys.executable, "-m", "tests.faults", "--faults", FAULTS, "--seed", SEED],
        log_file=tmp_path / "faults.log",
        env=child_environment(PYTHONUNBUFFERED="1"),
        cwd=ROOT,
    )
    try:
        code = process.wait(MOST_S)
    finally:
        if process.running:
            process.kill()

    assert process.output().splitlines()[-1] == "lost 0, doubled 0, late 0", process.output()[-20_000:]
    assert code == 0, process.output()[-20_000:]
