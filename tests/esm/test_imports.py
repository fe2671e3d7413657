"""What every process pays for before it does anything: the modules that Django loads in it."""

import subprocess
import sys
from pathlib import Path

from tests.services.proc import child_environment

ROOT = Path(__file__).resolve().parent.parent.parent
ASK = """
import sys
from django.core.management import ManagementUtility
try:
    ManagementUtility(["manage.py", "health", "relay"]).execute()
except SystemExit as ended:
    print(ended.code)
ours = [name.split(".") for name in sys.modules if not name.startswith("django")]
print([".".join(words) for words in ours if {"admin", "services", "urls"} & set(words)])
"""


def test_a_health_check_loads_neither_pages_nor_services(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        env=child_environment(DJANGO_SETTINGS_MODULE="esm.settings", PULSE_DIR=str(tmp_path)),
        cwd=ROOT, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip

    assert done.stderr.strip() == "CommandError: relay: does not run"
    assert done.stdout.splitlines() == ["1", "[]"]
