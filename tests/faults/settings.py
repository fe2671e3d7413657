"""Settings of the harness's own process: the platform's, on private servers that are started by `tests.faults.stage`.

Made once per run: the servers' addresses and fresh secrets go into this process's environment, and the platform's
processes inherit them. Waits are short, so that a round takes seconds; nothing else differs from an installation.
"""

import os

from scripts.production_env import production_environment
from tests.services.postgres import PostgresServer
from tests.services.proc import scratch_directory
from tests.services.redis import RedisServer

DIRECTORY = scratch_directory("faults")
POSTGRES = PostgresServer()
REDIS = RedisServer()
CLOCK_FILE = DIRECTORY / "clock"
CLOCK_FILE.write_text("0")
# The broker makes its authority when it starts; its place is known then and copied here.
CA_FILE = DIRECTORY / "ca.pem"
CA_FILE.write_text("")

_environment = production_environment(
    DATABASE_URL=POSTGRES.url,
    REDIS_URL=REDIS.url,
    CLOCK_OFFSET_FILE=str(CLOCK_FILE),
    AMQP_CA_FILE=str(CA_FILE),
    LINK_TRANSPORT="amqps",
    PULSE_DIR=str(DIRECTORY / "pulse"),
    STATIC_ROOT=str(DIRECTORY),
    LOG_LEVEL="INFO",
    RELAY_LEASE_S="3",
    AMQP_HEARTBEAT_S="2",
    AMQP_CONFIRM_TIMEOUT_S="3",
    AMQP_PREFETCH="200",
    INGEST_BATCH="20",  # so that batches stand behind each other
    LINK_RECONNECT_MAX_S="1",
    REPLAY_MARGIN_S="30",
    COMMAND_DELIVER_BY_S="10",
    ACK_TIMEOUT_S="10",
    EXECUTION_TIMEOUT_S="20",
    EMERGENCY_REISSUE_S="2",
    TAKEOVER_DRAIN_S="10",
    WEB_THREADS="2",
)
for _name, _value in _environment.items():
    os.environ.pop(f"{_name}_FILE", None)
    if _name != "DJANGO_SETTINGS_MODULE":
        os.environ[_name] = _value

from esm.settings import *  # noqa: E402, F403 - reads the environment prepared above
