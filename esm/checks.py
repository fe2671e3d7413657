"""System checks with stable ids: what can be wrong with an installation although its settings parse.

esm.E001  a stored secret does not decrypt with FIELD_KEYS (check --database default)
esm.W002  secrets wait for `manage.py rotate_keys`: they are under a key version that is not the first
esm.W003  several web or worker processes would share no cache: ESM_MODE=embedded is for one process
esm.E004  the clock is shifted (CLOCK_OFFSET_FILE): a tool of tests
"""

from collections.abc import Iterable, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import DatabaseError, connections

from esm.clock import OFFSET_FILE
from people.selectors.secrets import secret_versions as factor_versions
from people.selectors.secrets import undecryptable as undecryptable_factors
from plants.encryption import current_version
from plants.selectors.connections import secret_versions, undecryptable


@register(Tags.database)
def stored_secrets_decrypt(
    *, app_configs: Sequence[AppConfig] | None = None, databases: Iterable[str] | None = None, **_: Any
) -> list[CheckMessage]:
    """E001 and W002: every stored secret can be read, and under the current key."""
    if "default" not in (databases or ()) or not _has_tables():
        return []
    problems: list[CheckMessage] = [
        Error(
            f"connection {pk}: {field} {reason}",
            hint="Put the key version back into FIELD_KEYS, then run `manage.py rotate_keys`.",
            id="esm.E001",
        )
        for pk, field, reason in undecryptable()
    ]
    problems += [
        Error(
            f"person {pk}: authenticator app {reason}",
            hint="Put the key version back into FIELD_KEYS, then run `manage.py rotate_keys`.",
            id="esm.E001",
        )
        for pk, reason in undecryptable_factors()
    ]
    old = sorted((secret_versions() | factor_versions()) - {current_version()})
    if old:
        problems.append(
            Warning(
                f"secrets are still encrypted under key version {', '.join(old)}",
                hint="Run `manage.py rotate_keys` before you remove the version from FIELD_KEYS.",
                id="esm.W002",
            )
        )
    return problems


def _has_tables() -> bool:
    """Before the first migrate there is nothing to check; a database that is away is another check's business."""
    try:
        names = connections["default"].introspection.table_names()
        return "plants_connection" in names and "people_totpdevice" in names
    except DatabaseError:
        return False


@register(deploy=True)
def embedded_is_for_one_process(**_: Any) -> list[CheckMessage]:
    """W003: the embedded mode is a demo and a laptop's tool, not a deployment."""
    if not settings.EMBEDDED:
        return []
    return [
        Warning(
            "ESM_MODE=embedded runs everything in one process on SQLite",
            hint="Set ESM_MODE=full.",
            id="esm.W003",
        )
    ]


@register(deploy=True)
def clock_is_true(**_: Any) -> list[CheckMessage]:
    """E004: a shifted clock would sign commands with a false time."""
    if not OFFSET_FILE:
        return []
    return [Error("CLOCK_OFFSET_FILE shifts the clock", hint="Unset it.", id="esm.E004")]
