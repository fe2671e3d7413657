"""Makes everything that the sim profile runs on, once: certificates, broker files, bundle, plants, stand-in's secrets.

    python -m scripts.sim.init --root /srv/sim --broker rabbitmq:5671 --reverse-url http://web:8000 \\
        --rest 0.0.0.0:4410 --rest-url http://voke.internal:4410/api/v1

Below the root every party has a folder (a volume) of its own, so that none sees another's secrets:

    tls      for whoever connects: the authority's certificate
    broker   for RabbitMQ: certificate, key, configuration, definitions (password hashes)
    partner  for the platform: the bundle as Voke's wizard would show it, and the plants
    voke     for the stand-in: configuration, its own broker address, signing key, REST key

A folder is complete when its file `generation` is there, which is written last. When all four hold the same
generation nothing is touched; otherwise everything is made anew.
"""

import argparse
import json
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from esm import clock
from scripts.sim import broker, stand_in
from scripts.sim.certificates import make_server_identity
from vcp import parse_bundle

PLANTS = Path(__file__).resolve().parent.parent.parent / "esm" / "demo" / "plants.json"
FOLDERS = ("tls", "broker", "partner", "voke")
GENERATION = "generation"
# The group reads: the broker's container has another user, and this group beside its own.
FILE_MODE = 0o640


def main(arguments: Sequence[str] | None = None) -> None:
    options = _options(arguments)
    if len(found := generations(options.root)) == 1 and None not in found:
        sys.stdout.write("sim: everything is there\n")
        return
    for folder, files in everything(options, at=clock.now()).items():
        write_folder(options.root / folder, files)
    sys.stdout.write("sim: certificates, broker definitions, bundle and secrets made\n")


def generations(root: Path) -> set[str | None]:
    """The generations found in the folders; None stands for a folder that is not complete."""
    files = [root / folder / GENERATION for folder in FOLDERS]
    return {file.read_text() if file.exists() else None for file in files}


def everything(options: argparse.Namespace, *, at: datetime) -> Mapping[str, Mapping[str, bytes]]:
    """All files by folder and name, with fresh secrets."""
    host, port = options.broker
    rest_host, rest_port = options.rest
    identity = make_server_identity(host, at=at)
    passwords = broker.new_passwords()
    signing_key, rest_key = secrets.token_hex(32), secrets.token_urlsafe(32)
    plants = json.loads(PLANTS.read_text(encoding="utf-8"))
    folders: dict[str, dict[str, bytes]] = {
        "tls": {"ca.pem": identity.authority},
        "broker": {
            "ca.pem": identity.authority,
            "server.pem": identity.certificate,
            "server.key": identity.key,
            "definitions.json": _json(broker.definitions(passwords)),
            "rabbitmq.conf": broker.configuration(options.root / "broker", port=port).encode(),
        },
        "partner": {
            "bundle.json": _bundle(host, port, passwords, signing_key, options.rest_url),
            "plants.json": _json(plants),
        },
        "voke": {
            "config.json": _json(
                stand_in.configuration(
                    plants, reverse_url=options.reverse_url, rest_host=rest_host, rest_port=rest_port
                )
            ),
            "amqps_uri": broker.address(broker.VOKE_USER, passwords.voke, host=host, port=port).encode(),
            "signing_key": signing_key.encode(),
            "api_key": rest_key.encode(),
        },
    }
    generation = secrets.token_hex(8).encode()
    return {name: {**files, GENERATION: generation} for name, files in folders.items()}


def _bundle(host: str, port: int, passwords: broker.Passwords, signing_key: str, rest_url: str) -> bytes:
    """What Voke's "Connect partner" wizard would show."""
    body = _json(
        {
            "amqpsUri": broker.address(broker.SLUG, passwords.partner, host=host, port=port),
            "apiKey": passwords.partner,
            "signingKey": signing_key,
            "keyId": broker.KEY_ID,
            "slug": broker.SLUG,
            "queuePrefix": broker.SLUG,
            "restBaseUrl": rest_url,
        }
    )
    parse_bundle(body)
    return body


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Replace the files of a folder; the generation goes first and comes last."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o750)
    (folder / GENERATION).unlink(missing_ok=True)
    for name in sorted(files, key=lambda name: name == GENERATION):
        write_file(folder / name, files[name])


def write_file(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, never readable by others."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    with os.fdopen(handle, "wb") as file:
        os.fchmod(handle, FILE_MODE)  # whatever the umask is
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _json(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, indent=1).encode() + b"\n"


def _host_and_port(text: str) -> tuple[str, int]:
    host, mark, port = text.rpartition(":")
    if not mark or not host or not port.isdecimal():
        raise argparse.ArgumentTypeError("expected HOST:PORT")
    return host, int(port)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, required=True, metavar="FOLDER")
    parser.add_argument(
        "--broker", type=_host_and_port, required=True, metavar="HOST:PORT", help="as clients see it"
    )
    parser.add_argument(
        "--reverse-url", required=True, metavar="URL", help="of the platform, as the stand-in sees it"
    )
    parser.add_argument(
        "--rest",
        type=_host_and_port,
        required=True,
        metavar="HOST:PORT",
        help="the stand-in's REST listens here",
    )
    parser.add_argument(
        "--rest-url", required=True, metavar="URL", help="base of that REST, as the platform sees it"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main()
