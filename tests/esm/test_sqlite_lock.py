"""SQLite's one writer at a time: first come, first served, and never kept by a transaction that is over."""

import threading

import pytest
from django.db import IntegrityError, OperationalError
from django.db.utils import ConnectionHandler

from esm.sqlite.base import WRITE_LOCK, FairLock
from tests.threads import Aside, until

pytestmark = pytest.mark.timeout(60)


# --- the lock ---------------------------------------------------------------------------------------------------------


def queue_up(lock, count, served):
    """Threads that ask for a held lock one after the other and write down when they are served."""
    threads = []
    for number in range(count):

        def work(number=number):
            lock.acquire()
            served.append(number)
            lock.release()

        threads.append(Aside(work))
        until(lambda wanted=number + 1: len(lock._waiting) == wanted, "a thread in the queue")
    return threads


def test_the_lock_is_handed_over_in_order_of_arrival():
    lock, served = FairLock(), []
    lock.acquire()
    threads = queue_up(lock, 8, served)

    lock.release()
    for thread in threads:
        thread.answer()

    assert served == list(range(8))


def test_a_thread_that_comes_while_others_wait_does_not_get_the_lock_before_them():
    lock, served = FairLock(), []
    lock.acquire()
    threads = queue_up(lock, 3, served)

    lock.release()
    lock.acquire()
    served.append("late")
    lock.release()
    for thread in threads:
        thread.answer()

    assert served == [0, 1, 2, "late"]


def test_two_threads_are_never_inside_at_once():
    lock, inside, most = FairLock(), [], []

    def work():
        for _ in range(200):
            lock.acquire()
            inside.append(1)
            most.append(len(inside))
            inside.pop()
            lock.release()

    for thread in [Aside(work) for _ in range(4)]:
        assert thread.answer() is None

    assert len(most) == 800
    assert set(most) == {1}


class _Interrupted(threading.Event):
    """An event whose waiter is interrupted, as Ctrl-C interrupts the main thread."""

    def wait(self, timeout=None):
        raise KeyboardInterrupt


def test_a_waiter_that_was_interrupted_is_not_handed_the_lock(monkeypatch):
    """It kept the lock for ever: the next release gave it to a thread that had gone."""
    lock = FairLock()
    lock.acquire()
    with monkeypatch.context() as patch:
        patch.setattr("esm.sqlite.base.threading.Event", _Interrupted)
        with pytest.raises(KeyboardInterrupt):
            lock.acquire()

    lock.release()

    assert Aside(lambda: (lock.acquire(), lock.release(), "served")[2]).answer() == "served"


# --- transactions -----------------------------------------------------------------------------------------------------


@pytest.fixture
def databases(tmp_path, django_db_blocker):
    """Connections of every thread to one SQLite file, opened as the embedded mode opens them."""
    handler = ConnectionHandler(
        {
            "default": {
                "ENGINE": "esm.sqlite",
                "NAME": str(tmp_path / "esm.sqlite3"),
                "OPTIONS": {
                    "timeout": 0.2,
                    "transaction_mode": "IMMEDIATE",
                    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
                },
            }
        }
    )
    with django_db_blocker.unblock():
        with handler["default"].cursor() as cursor:
            cursor.execute("CREATE TABLE parent (id integer PRIMARY KEY)")
            cursor.execute(
                "CREATE TABLE child (id integer PRIMARY KEY, parent_id integer"
                " REFERENCES parent (id) DEFERRABLE INITIALLY DEFERRED)"
            )
        yield handler
        handler["default"].close()
    until(lambda: not WRITE_LOCK._held, "the write lock free again")


def begin(database):
    database.set_autocommit(False, force_begin_transaction_with_broken_autocommit=True)


def insert(database, table="parent", **values):
    with database.cursor() as cursor:
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(values)}) VALUES ({', '.join(map(str, values.values()))})"
        )


def write_aside(databases, number):
    """Another thread's whole transaction."""

    def work():
        database = databases["default"]
        try:
            begin(database)
            insert(database, id=number)
            database.commit()
        finally:
            database.close()
        return "written"

    return Aside(work)


def ids(databases):
    with databases["default"].cursor() as cursor:
        cursor.execute("SELECT id FROM parent ORDER BY id")
        return [number for (number,) in cursor.fetchall()]


def test_a_second_writer_waits_for_the_first_one_longer_than_sqlite_would(databases):
    """SQLite itself gives up after the busy timeout, here 0.2 s; the lock's queue does not."""
    database = databases["default"]
    begin(database)
    insert(database, id=1)
    other = write_aside(databases, 2)
    until(lambda: len(WRITE_LOCK._waiting) == 1, "the second writer in the queue")

    database.commit()
    database.set_autocommit(True)

    assert other.answer() == "written"
    assert ids(databases) == [1, 2]


def test_a_rollback_gives_the_lock_back(databases):
    database = databases["default"]
    begin(database)
    insert(database, id=1)

    database.rollback()
    database.set_autocommit(True)

    assert write_aside(databases, 2).answer() == "written"
    assert ids(databases) == [2]


def test_a_commit_that_fails_keeps_the_lock_until_its_rollback(databases):
    database = databases["default"]
    begin(database)
    insert(database, "child", id=1, parent_id=99)
    with pytest.raises(IntegrityError):
        database.commit()
    held = WRITE_LOCK._held

    database.rollback()
    database.set_autocommit(True)

    assert held
    assert write_aside(databases, 2).answer() == "written"


def test_closing_a_connection_within_a_transaction_gives_the_lock_back(databases):
    database = databases["default"]
    begin(database)
    insert(database, id=1)

    database.close()

    assert write_aside(databases, 2).answer() == "written"
    assert ids(databases) == [2]


def test_a_transaction_that_can_not_begin_gives_the_lock_back(databases, tmp_path):
    """Another process holds SQLite's own lock: the busy timeout runs out."""
    rival = ConnectionHandler(
        {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": str(tmp_path / "esm.sqlite3")}}
    )
    with rival["default"].cursor() as cursor:
        cursor.execute("BEGIN IMMEDIATE")

    with pytest.raises(OperationalError, match="locked"):
        begin(databases["default"])
    rival["default"].rollback()
    rival["default"].close()

    assert not WRITE_LOCK._held
    databases["default"].set_autocommit(True)
    assert write_aside(databases, 2).answer() == "written"


def test_reading_needs_no_lock(databases):
    database = databases["default"]
    begin(database)
    insert(database, id=1)

    def read():
        try:
            return ids(databases)
        finally:
            databases["default"].close()

    assert Aside(read).answer() == []
    database.rollback()
    database.set_autocommit(True)


def test_many_writers_are_all_served(databases):
    threads = [write_aside(databases, number) for number in range(20)]

    assert [thread.answer() for thread in threads] == ["written"] * 20
    assert ids(databases) == list(range(20))
