"""`manage.py makemessages -l cs`: Django's own, which finds our sentences too and passes over what is not ours."""

from typing import Any

from django.core.management.commands import makemessages

_NOT_OURS = ("tests/*", "bench/*", "var/*", "scripts/*", "static/*", "console/assets/*")


class Command(makemessages.Command):
    """`said` and `said_many` (vcp.said) mark the texts of rules, checks and stored explanations."""

    xgettext_options = [*makemessages.Command.xgettext_options, "--keyword=said", "--keyword=said_many:1,2"]
    msgmerge_options = [*makemessages.Command.msgmerge_options, "--no-fuzzy-matching"]

    def handle(self, *args: Any, **options: Any) -> None:
        options["ignore_patterns"] = [*options["ignore_patterns"], *_NOT_OURS]
        super().handle(*args, **options)
