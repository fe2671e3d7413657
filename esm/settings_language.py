"""The language of pages, and of everything else."""

from pathlib import Path

from django.conf.global_settings import LANGUAGES as _KNOWN

from esm.env import Env

__all__ = ["LANGUAGE_CODE", "LOCALE_PATHS", "PAGE_LANGUAGE"]

LANGUAGE_CODE = "en-gb"
"""What is logged, stored, sent and answered to machines."""
# Not LANGUAGE: that variable is gettext's own, which a login shell may have set.
PAGE_LANGUAGE = Env().choice("PAGE_LANGUAGE", LANGUAGE_CODE, sorted(code for code, _ in _KNOWN))
"""What pages of the console are in, as far as `locale/` has its texts."""
LOCALE_PATHS = [Path(__file__).resolve().parent.parent / "locale"]
