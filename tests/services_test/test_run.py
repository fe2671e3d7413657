"""Collecting tests starts no server: whoever runs only pure tests waits for none."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
# Every server makes its own directory first; so the run that makes none starts none.
COLLECT = """
import sys
made = []
sys.addaudithook(lambda event, details: made.append(details) if event == "tempfile.mkdtemp" else None)
import pytest
code = pytest.main(["--collect-only", "-q", "-p", "no:cacheprovider", "tests/services_test"])
print("directories:", [path for (path,) in made if "esm-test-" in path])
sys.exit(code)
"""


def test_collecting_starts_no_server() -> None:
    done = subprocess.run(
        [sys.executable, "-c", COLLECT], check=False, cwd=ROOT, capture_output=True, text=True, timeout=60
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("directories: []\n")
