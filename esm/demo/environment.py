"""The embedded installation's own settings: generated once, kept in `var/demo.env` with mode 0600."""

import base64
import os
import secrets
from collections.abc import Sequence
from pathlib import Path

_MAKERS = ("demo", "virtual_day")
"""The commands that a newcomer may begin with."""
VAR_DIR = Path(os.environ.get("ESM_VAR_DIR") or Path(__file__).resolve().parent.parent.parent / "var")


def demo_env_file() -> Path:
    """Where the generated settings of the embedded installation live."""
    return VAR_DIR / "demo.env"


def load_demo_environment(argv: Sequence[str]) -> None:
    """Fill the environment from var/demo.env unless the caller brought settings; made when missing for `_MAKERS`."""
    if os.environ.get("DJANGO_SECRET_KEY") or os.environ.get("DJANGO_SECRET_KEY_FILE"):
        return
    path = demo_env_file()
    if len(argv) > 1 and argv[1] in _MAKERS and not path.exists():
        _write_private(path, _generate())
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition("=")
        os.environ.setdefault(name, value)


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def _generate() -> str:
    values = {
        "ESM_MODE": "embedded",
        "DJANGO_SECRET_KEY": secrets.token_urlsafe(64),
        "FIELD_KEYS": f"k1:{_key()}",
        "SECRET_PEPPERS": f"p1:{_key()}",
        "JWT_KEYS": f"j1:HS256:{_key()}",
        "DATABASE_URL": f"sqlite:///{VAR_DIR / 'esm.sqlite3'}",
        "LOG_LEVEL": "WARNING",
        "DEMO_PASSWORD": secrets.token_urlsafe(12),
    }
    return "".join(f"{name}={value}\n" for name, value in values.items())


def _write_private(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    # Created with its final mode: there is no moment in which others could read it.
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
