"""A restore into an empty database, so that nothing of it acts before a person says so.

Dispatch of the whole installation is switched off in the same transaction that brings the rows, so there is no moment
in which a relay could publish what the backup held as unsent. Then rows are compared with the manifest, and what may
have been sent since the backup is settled (`settle`): nothing of it is sent again.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.db import transaction
from django.db.migrations.loader import MigrationLoader

from dispatch.services.restored import SettledDispatch, settle_restored
from esm.backup import Manifest, TableFacts, key_fingerprints, sha256_of, table_facts
from esm.postgres_tools import Database, ToolFailed, pipe, tool
from people.models import PersonSession
from plants.services.organisations import set_installation_dispatch
from plants.services.restored import put_revisions_ahead
from trading_api.services.restored import forget_what_was_served, revoke_tokens

# What the restore itself changes is not compared.
_CHANGED = frozenset({"plants_installation", "dispatch_outboxlease"})
_GUARD = b"""
INSERT INTO public.plants_installation (id, dispatch_enabled) VALUES (1, false)
    ON CONFLICT (id) DO UPDATE SET dispatch_enabled = false;
DELETE FROM public.dispatch_outboxlease;
COMMIT;
"""


@dataclass(frozen=True, kw_only=True)
class Settled:
    """What was settled after a restore, to be read by a person."""

    dispatch: SettledDispatch
    organisations: int
    credentials: int
    served: int
    sessions: int


def check_dump(*, dump: Path, manifest: Manifest, without_keys: bool) -> None:
    """Refuse what can't be restored well, before anything is touched; raises ToolFailed.

    A file that is not the manifest's, a backup of newer code, or other keys (unless the restore is to do without).
    """
    if not dump.is_file():
        raise ToolFailed(f"{dump} is no file")
    if sha256_of(dump) != manifest.sha256:
        raise ToolFailed(f"{dump} is not the file that its manifest describes: it was cut or changed")
    known = {f"{app}.{name}" for app, name in MigrationLoader(None).disk_migrations or ()}
    if newer := sorted(set(manifest.migrations) - known):
        raise ToolFailed(f"the backup is of a newer version of the platform: {', '.join(newer)}")
    problems = _missing_keys(manifest.keys, key_fingerprints())
    if problems and not without_keys:
        raise ToolFailed(
            f"the settings lack keys of the backup: {', '.join(problems)}. Put them back (manage.py backup_keys wrote"
            " them), or restore with --without-keys: then every connection needs its bundle again, every credential a"
            " new secret"
        )


def _missing_keys(
    needed: Mapping[str, Mapping[str, str]], present: Mapping[str, Mapping[str, str]]
) -> list[str]:
    return [
        f"{name} {version}"
        for name, keys in needed.items()
        for version, fingerprint in keys.items()
        if present.get(name, {}).get(version) != fingerprint
    ]


def restore_dump(*, dump: Path, database: Database, timeout_s: float) -> None:
    """Bring the dump into the empty database, all of it or nothing, with dispatch off; raises ToolFailed."""
    with database.session() as session:
        row = session.execute(
            "SELECT current_setting('server_version_num')::int / 10000, (SELECT count(*) FROM pg_class"
            " WHERE relkind IN ('r', 'p', 'v', 'S') AND relnamespace = 'public'::regnamespace)"
        ).fetchone()
    assert row is not None
    server, relations = row
    if relations:
        raise ToolFailed(f"the database {database.name} is not empty: a restore needs a new one")
    source = [
        tool("pg_restore", server_version=server), "--no-owner", "--no-privileges", "--exit-on-error", "--file=-",
        str(dump),
    ]  # fmt: skip
    sink = [
        tool("psql", server_version=server), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1",
        f"--dbname={database.address}",
    ]  # fmt: skip
    with tempfile.TemporaryFile() as log:
        pipe(source, sink, before=b"BEGIN;\n", after=_GUARD, database=database, log=log, timeout_s=timeout_s)


def differences(*, manifest: Manifest, database: Database) -> list[str]:
    """What is in the database and not as the manifest says, in words; [] = everything is as it was."""
    digests = has_digests(manifest)
    with database.session() as session, session.transaction():
        found = table_facts(session, digests=digests)
    names = sorted((manifest.tables.keys() | found.keys()) - _CHANGED)
    return [
        f"{name}: {_words(manifest.tables.get(name))} in the backup, {_words(found.get(name))} here"
        for name in names
        if manifest.tables.get(name) != found.get(name)
    ]


def has_digests(manifest: Manifest) -> bool:
    """Whether the rows themselves can be compared, or only how many there are."""
    return any(facts.digest for facts in manifest.tables.values())


def _words(facts: TableFacts | None) -> str:
    return "no table" if facts is None else f"{facts.rows} rows ({facts.digest or 'no digest'})"


@transaction.atomic
def settle(*, at: datetime) -> Settled:
    """Make a restored database safe to run: nothing of the past is sent, told or allowed again unasked."""
    set_installation_dispatch(enabled=False)
    return Settled(
        dispatch=settle_restored(at=at),
        organisations=put_revisions_ahead(),
        credentials=revoke_tokens(),
        served=forget_what_was_served(),
        sessions=PersonSession.objects.all().delete()[0],
    )
