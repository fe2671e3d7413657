#!/usr/bin/env python
"""Command line of the platform. Without settings in the environment it uses those that `make demo` left in var/."""

import os
import sys

from django.core.management import execute_from_command_line

from esm.demo.environment import load_demo_environment

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "esm.settings")
    load_demo_environment(sys.argv)
    execute_from_command_line(sys.argv)
