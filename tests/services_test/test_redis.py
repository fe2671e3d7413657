"""The private Redis answers on its own port and vanishes with its directory."""

import redis

from tests.services.redis import RedisServer
from tests.services_test.processes import process_tree, still_running


def test_it_keeps_values_while_it_runs(redis_server: RedisServer) -> None:
    client = redis.Redis.from_url(redis_server.url)

    client.set("services_test", "kept")

    assert client.get("services_test") == b"kept"
    client.close()


def test_it_leaves_no_process_and_no_file_behind() -> None:
    server = RedisServer().start()
    family, directory = process_tree(server.process.pid), server.directory

    server.close()

    assert still_running(family) == set()
    assert not directory.exists()
