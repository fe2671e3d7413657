"""Gives the platform its plants and its modelled Voke, and Voke its credentials: each step only when it is missing.

    python -m scripts.sim.connect --partner /srv/sim/partner --voke /srv/sim/voke

The same three commands that the README shows for a real Voke: `import_plants`, `connect_voke --activate`,
`issue_credentials`. A second run finds everything done and changes nothing. When the sim volumes were made anew (new
keys) the connection takes the new bundle, as it would when Voke renews a key.
"""

import argparse
import io
import json
import os
import sys
from pathlib import Path

import django
from django.core.management import call_command

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "esm.settings")
django.setup()

from plants.models import Connection, Organisation  # noqa: E402 - models need the apps
from plants.services.connection_settings import replace_secrets  # noqa: E402
from scripts.sim.broker import SLUG  # noqa: E402
from scripts.sim.init import write_file  # noqa: E402
from trading_api.models import Credential  # noqa: E402
from trading_api.services import disable_credential  # noqa: E402
from vcp import ConnectionBundle, KeyDecoding, parse_bundle  # noqa: E402

NAME = "Modelled Voke"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--partner", type=Path, required=True, metavar="FOLDER", help="bundle and plants")
    parser.add_argument(
        "--voke", type=Path, required=True, metavar="FOLDER", help="where the stand-in reads its credentials"
    )
    options = parser.parse_args()
    ensure_plants(options.partner / "plants.json")
    ensure_connection(options.partner / "bundle.json")
    ensure_credentials(options.voke)


def ensure_plants(document: Path) -> None:
    """Import the plants into an installation that has no organisation of this slug yet."""
    if Organisation.objects.filter(slug=SLUG, plants__isnull=False).exists():
        return
    call_command("import_plants", str(document), organisation=SLUG, create="Demo Energy")


def ensure_connection(bundle_file: Path) -> None:
    """Connect and activate once; later only follow a bundle with other secrets."""
    connection = Connection.objects.filter(organisation__slug=SLUG, name=NAME).first()
    if connection is None:
        call_command(
            "connect_voke", str(bundle_file), organisation=SLUG, name=NAME, plants="all", activate=True
        )
        return
    bundle = parse_bundle(bundle_file.read_bytes())
    if not _holds(connection, bundle):
        replace_secrets(connection=connection, bundle=bundle, key_decoding=KeyDecoding.HEX)
        sys.stdout.write("connection: new bundle taken\n")


def _holds(connection: Connection, bundle: ConnectionBundle) -> bool:
    stored = (connection.amqps_uri.reveal(), connection.signing_key.reveal())
    return stored == (bundle.amqps_uri, bundle.signing_key)


def ensure_credentials(folder: Path) -> None:
    """Issue credentials for the stand-in unless it holds enabled ones; those of lost folders are disabled."""
    id_file, secret_file = folder / "client_id", folder / "client_secret"
    issued = Credential.objects.filter(organisation__slug=SLUG, label=NAME, enabled=True)
    if id_file.exists() and issued.filter(client_id=id_file.read_text()).exists():
        return
    for credential in issued:
        disable_credential(credential=credential)
    answer = io.StringIO()
    call_command("issue_credentials", organisation=SLUG, label=NAME, json=True, stdout=answer)
    shown = json.loads(answer.getvalue())
    # The id comes last: it says that the secret beside it is there.
    write_file(secret_file, shown["clientSecret"].encode())
    write_file(id_file, shown["clientId"].encode())
    sys.stdout.write(f"credentials {shown['clientId']} issued\n")


if __name__ == "__main__":
    main()
