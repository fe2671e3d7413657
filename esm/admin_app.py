"""Django's admin as an app whose pages come with the URL map.

Django loads the admin's pages, and all that they import, in every process: half of what a loop or a health check costs
before it does anything.
"""

from typing import Any

from django.contrib import admin
from django.contrib.admin.apps import SimpleAdminConfig
from django.contrib.admin.checks import check_admin_app, check_dependencies
from django.core import checks


class AdminPagesConfig(SimpleAdminConfig):
    """Registers the checks of the admin, which ask for its pages; whoever shows them asks too (`esm/urls.py`)."""

    def ready(self) -> None:
        """Nothing is loaded here."""
        checks.register(check_dependencies, checks.Tags.admin)
        checks.register(_check_pages, checks.Tags.admin)


def _check_pages(**words: Any) -> list[checks.CheckMessage]:
    admin.autodiscover()
    return check_admin_app(**words)
