"""Settings of the test run: the platform's own settings under a fresh environment, on a private PostgreSQL.

The server is started by the first test that asks for the database (`tests/conftest.py`), so pure tests
start nothing. TEST_DATABASE=sqlite runs the embedded installation on a SQLite file instead: the portable
path.
"""

import os

from scripts.production_env import production_environment
from tests.services.postgres import PostgresServer

SQLITE = os.environ.get("TEST_DATABASE") == "sqlite"
DATABASE_SERVER = None if SQLITE else PostgresServer(durable=False)

if DATABASE_SERVER is None:
    _environment = production_environment(ESM_MODE="embedded", DATABASE_URL="sqlite://", REDIS_URL="")
else:
    # The test client speaks plain HTTP.
    _environment = production_environment(DATABASE_URL=DATABASE_SERVER.url, SSL_REDIRECT="false")
_environment |= {"ALLOWED_HOSTS": "testserver,localhost,127.0.0.1", "LOG_LEVEL": "WARNING"}
# Tests of pages sign in by `force_login`; those of the second factor ask for it themselves.
_environment |= {"TWO_FACTOR": "optional"}
for _name, _value in _environment.items():
    os.environ.pop(f"{_name}_FILE", None)
    if _name != "DJANGO_SETTINGS_MODULE":
        os.environ[_name] = _value

from esm.settings import *  # noqa: E402, F403 - reads the environment prepared above

# No test talks to a server that it did not ask for: those of the Redis paths take the fixture `redis_server`.
CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "tests"}}
CELERY_BROKER_URL = "memory://"
# Each test process is its own feed.
LIVE_REDIS_URL = ""
# Argon2 costs 0.1 s a password by design.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# Static files come straight from the packages, nothing is collected.
STATIC_ROOT = None
WHITENOISE_USE_FINDERS = True
