"""`python -m tests.faults --faults N --seed S`: a fault run on private servers; exit code 0 = no violation."""

import os
import sys

import django

# Before anything of the platform is imported: its settings make the run's environment.
os.environ["DJANGO_SETTINGS_MODULE"] = "tests.faults.settings"
django.setup()

from tests.faults.run import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main())
