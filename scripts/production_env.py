"""Runs a command under a complete production-like environment with fresh secrets.

    python scripts/production_env.py python manage.py check --deploy

`make check` uses it, so that the deployment checks see what a real installation would set, and no secret
has to be committed. Every value may be overridden from outside.
"""

import base64
import os
import secrets
import sys


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def fresh_secrets() -> dict[str, str]:
    """New values for every secret of an installation, by name."""
    return {
        "DJANGO_SECRET_KEY": secrets.token_urlsafe(64),
        "FIELD_KEYS": f"k1:{_key()}",
        "SECRET_PEPPERS": f"p1:{_key()}",
        "JWT_KEYS": f"j1:HS256:{_key()}",
        "POSTGRES_PASSWORD": secrets.token_urlsafe(24),
        "REDIS_PASSWORD": secrets.token_urlsafe(24),
    }


def production_environment(**changes: str) -> dict[str, str]:
    """Settings of a full installation by name, with fresh secrets; nothing listens at its addresses.

    `changes` are added or replace values, an empty text removes one.
    """
    values = {
        "DJANGO_SETTINGS_MODULE": "esm.settings",
        "ESM_MODE": "full",
        "ALLOWED_HOSTS": "esm.example.com",
        "CSRF_TRUSTED_ORIGINS": "https://esm.example.com",
        "DATABASE_URL": "postgres://esm:unused@127.0.0.1:9/esm",
        "REDIS_URL": "redis://127.0.0.1:9/0",
        "CONNECT_ALLOW_PRIVATE": "true",
        **fresh_secrets(),
        **changes,
    }
    return {name: value for name, value in values.items() if value}


def main() -> None:
    if len(sys.argv) < 2:
        sys.exit(f"usage: {sys.argv[0]} COMMAND [ARGUMENT...]")
    made = {
        name: value for name, value in production_environment().items() if f"{name}_FILE" not in os.environ
    }
    environment = {**made, **os.environ}
    os.execvpe(sys.argv[1], sys.argv[1:], environment)  # noqa: S606 - the command is our own, no shell wanted


if __name__ == "__main__":
    main()
