"""What requests leave to be written: common batches, answers after the commit, nothing lost when others leave."""

import asyncio
import threading
from collections.abc import Sequence
from typing import Any

import pytest
from structlog.testing import capture_logs

from esm.group_commit import BATCH_MAX, GroupCommit
from esm.shell import LEFT
from tests.esm.test_shell import Client, scope, shell


class Disk:
    """Writes when it is let; tells what it was given."""

    def __init__(self, *, error: Exception | None = None) -> None:
        self.batches: list[list[Any]] = []
        self.started = threading.Event()
        self.let = threading.Event()
        self._error = error

    def write(self, batch: Sequence[Any]) -> None:
        self.batches.append(list(batch))
        self.started.set()
        assert self.let.wait(20)
        if self._error is not None:
            raise self._error


async def until(event: threading.Event) -> None:
    assert await asyncio.to_thread(event.wait, 20)


def test_what_comes_while_a_batch_is_written_goes_into_the_next_one_together() -> None:
    async def story() -> list[list[Any]]:
        disk = Disk()
        group = GroupCommit(disk.write)
        first = asyncio.create_task(group.add(["a"]))
        await until(disk.started)
        others = [asyncio.create_task(group.add([name])) for name in "bcd"]
        await asyncio.sleep(0)
        disk.let.set()
        await asyncio.gather(first, *others)
        await group.close()
        return disk.batches

    assert asyncio.run(story()) == [["a"], ["b", "c", "d"]]


def test_nobody_is_answered_before_the_batch_is_written() -> None:
    async def story() -> tuple[bool, bool]:
        disk = Disk()
        group = GroupCommit(disk.write)
        adding = asyncio.create_task(group.add(["a"]))
        await until(disk.started)
        before = adding.done()
        disk.let.set()
        await adding
        await group.close()
        return before, adding.done()

    assert asyncio.run(story()) == (False, True)


def test_a_batch_is_bounded_and_the_rest_follows_in_order() -> None:
    async def story() -> list[list[Any]]:
        disk = Disk()
        disk.let.set()
        group = GroupCommit(disk.write)
        await group.add(list(range(BATCH_MAX + 3)))
        await group.close()
        return disk.batches

    assert asyncio.run(story()) == [
        list(range(BATCH_MAX)),
        list(range(BATCH_MAX, BATCH_MAX + 3)),
    ]


def test_an_answer_waits_for_the_last_of_what_it_left_over_two_batches_too() -> None:
    async def story() -> list[bool]:
        batches, let, second = [], threading.Semaphore(0), threading.Event()

        def write(batch: Sequence[Any]) -> None:
            batches.append(batch)
            if len(batches) == 2:
                second.set()
            assert let.acquire(timeout=20)

        group = GroupCommit(write)
        adding = asyncio.create_task(group.add(list(range(BATCH_MAX + 1))))
        await asyncio.sleep(0)
        let.release()
        await until(second)
        answered = [adding.done()]
        let.release()
        await adding
        await group.close()
        return [*answered, adding.done()]

    assert asyncio.run(story()) == [False, True]


def test_who_leaves_nothing_waits_for_nothing() -> None:
    async def story() -> None:
        group = GroupCommit(lambda _: None)
        await asyncio.wait_for(group.add([]), 20)
        await group.close()

    asyncio.run(story())


def test_an_unexpected_error_is_logged_and_nobody_waits_for_ever() -> None:
    async def story() -> None:
        disk = Disk(error=RuntimeError("odd"))
        disk.let.set()
        group = GroupCommit(disk.write)
        await group.add(["a"])
        await group.close()

    with capture_logs() as logs:
        asyncio.run(story())
    assert [(entry["action"], entry["count"]) for entry in logs] == [("group_commit.failed", 1)]


def test_closing_writes_what_still_waits() -> None:
    async def story() -> list[list[Any]]:
        disk = Disk()
        group = GroupCommit(disk.write)
        adding = asyncio.create_task(group.add(["a"]))
        await until(disk.started)
        late = asyncio.create_task(group.add(["b"]))
        closing = asyncio.create_task(group.close())
        await asyncio.sleep(0)
        disk.let.set()
        await asyncio.gather(adding, late, closing)
        return disk.batches

    assert asyncio.run(story()) == [["a"], ["b"]]


# --- in the shell ---------------------------------------------------------------------------------------------------
def leave(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """An application that leaves its path to be written."""
    environ["asgi.scope"][LEFT].append(environ["PATH_INFO"])
    start_response("200 OK", [])
    return [b"done"]


def test_an_answer_is_sent_after_what_it_left_has_been_written() -> None:
    async def story() -> tuple[int, int, list[list[Any]]]:
        disk, client = Disk(), Client({"type": "http.request", "body": b""})
        app = shell(leave, write_left=disk.write)
        serving = asyncio.create_task(app(scope(), client.receive, client.send))
        await until(disk.started)
        before = len(client.sent)
        disk.let.set()
        await serving
        return before, client.status, disk.batches

    assert asyncio.run(story()) == (0, 200, [["/x"]])


def test_what_was_left_is_written_also_when_nobody_waits_for_the_answer_any_more() -> None:
    async def story() -> list[list[Any]]:
        disk, client = Disk(), Client({"type": "http.request", "body": b""})
        app = shell(leave, write_left=disk.write)
        serving = asyncio.create_task(app(scope(), client.receive, client.send))
        await until(disk.started)
        serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await serving
        await stopped(app, disk)
        return disk.batches

    assert asyncio.run(story()) == [["/x"]]


async def stopped(app: Any, disk: Disk) -> None:
    """The server's end: it waits for what is still being written."""
    told: asyncio.Queue[dict[str, str]] = asyncio.Queue()
    sent: list[Any] = []
    for kind in ("lifespan.startup", "lifespan.shutdown"):
        told.put_nowait({"type": kind})

    async def send(message: Any) -> None:
        sent.append(message)

    ending = asyncio.create_task(app({"type": "lifespan"}, told.get, send))
    await asyncio.sleep(0)
    disk.let.set()
    await ending
    assert sent[-1]["type"] == "lifespan.shutdown.complete"
