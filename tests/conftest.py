"""Fixtures of the whole suite: private servers, started by the first test that asks for one."""

from collections.abc import Iterator

import pytest
from django.conf import settings
from django.db import connections

from tests.emptying import cheap_flush
from tests.services.migrated import add_migrated_database, copy_migrated_sqlite
from tests.services.partner import Partner
from tests.services.proc import remove_directory, scratch_directory
from tests.services.rabbit import RabbitServer
from tests.services.redis import RedisServer

# What PostgreSQL copies as the test database, and whenever a test has another one made.
TEMPLATE = "migrated"
_DATABASE_FIXTURES = frozenset({"db", "transactional_db", "django_db_setup", "live_server"})


@pytest.fixture(scope="session")
def django_db_modify_db_settings() -> Iterator[None]:
    """Called by pytest-django once, before the first test that needs the database: it finds all migrations done."""
    test = connections["default"].settings_dict["TEST"]
    if settings.DATABASE_SERVER is not None:
        with settings.DATABASE_SERVER as server, cheap_flush():
            add_migrated_database(server, TEMPLATE)
            test["TEMPLATE"] = TEMPLATE
            yield
        return
    # A file, as in production: SQLite in memory locks by other rules.
    directory = scratch_directory("sqlite")
    test["NAME"] = str(directory / "esm.sqlite3")
    copy_migrated_sqlite(directory / "esm.sqlite3")
    with cheap_flush():
        yield
    connections.close_all()
    remove_directory(directory)


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """Whether pytest-django takes the database that is there: SQLite's file is a copy made for this run."""
    return settings.DATABASE_SERVER is None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The second run, on SQLite, proves the portable database path: the rest ran before, and would run the same.

    What is about the broker, and what asks for no database: pytest-django lets such a test reach none.
    """
    if settings.DATABASE_SERVER is not None:
        return
    ran_before = {item for item in items if _is_about_broker(item) or not _asks_for_database(item)}
    config.hook.pytest_deselected(items=sorted(ran_before, key=items.index))
    items[:] = [item for item in items if item not in ran_before]


def _is_about_broker(item: pytest.Item) -> bool:
    return "rabbit" in getattr(item, "fixturenames", ())


def _asks_for_database(item: pytest.Item) -> bool:
    asked = _DATABASE_FIXTURES.intersection(getattr(item, "fixturenames", ()))
    return bool(asked) or item.get_closest_marker("django_db") is not None


@pytest.fixture(scope="session")
def rabbit() -> Iterator[RabbitServer]:
    """Voke's broker: RabbitMQ over TLS with its own authority."""
    with RabbitServer() as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """A Redis of this run; tests that share it use keys of their own."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def partner(rabbit: RabbitServer) -> Partner:
    """A partner key in `rabbit` that no other test has used: own vhost, empty queues."""
    return rabbit.lease_partner()
