"""Writes `.env` from `.env.example` with fresh secrets, mode 0600; an existing `.env` is never touched.

    python3 scripts/new_env.py esm.example.com

Standard library only: it runs on the host of a container installation, where nothing else is installed.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts.production_env import fresh_secrets

ROOT = Path(__file__).resolve().parent.parent


def filled(example: str, host: str) -> str:
    """The example's text with the required values set for a host name."""
    values = {"ALLOWED_HOSTS": host, "CSRF_TRUSTED_ORIGINS": f"https://{host}", **fresh_secrets()}
    lines = []
    for line in example.splitlines():
        name, assigned, value = line.partition("=")
        lines.append(f"{line}{values[name]}" if assigned and not value and name in values else line)
    return "\n".join(lines) + "\n"


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit(f"usage: {sys.argv[0]} HOST_NAME")
    path = ROOT / ".env"
    text = filled((ROOT / ".env.example").read_text(encoding="utf-8"), sys.argv[1])
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        sys.exit(f"{path} exists; it is not touched")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()
