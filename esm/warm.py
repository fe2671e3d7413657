"""What the first requests of a web process would wait for, done before: views imported, templates read."""

from pathlib import Path

from django.conf import settings
from django.template.loader import get_template
from django.template.utils import get_app_template_dirs
from django.urls import get_resolver


def load_pages() -> None:
    """Import the URL map with every view behind it, and read every template of ours; no database is asked.

    Libraries' templates are read when they are asked for.
    """
    get_resolver().url_patterns  # noqa: B018 - a lazy property
    for directory in map(Path, get_app_template_dirs("templates")):
        if directory.is_relative_to(settings.BASE_DIR) and "site-packages" not in directory.parts:
            for file in directory.rglob("*.html"):
                get_template(file.relative_to(directory).as_posix())
