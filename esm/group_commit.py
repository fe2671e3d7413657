"""Group commit: what several requests leave to be written goes into the database in one commit.

A commit waits for the disk whatever it holds, and threads that wait for it one by one can't serve. So whoever has
something to write adds it here and goes on; while one batch is written the next one gathers. `add` answers when what
was added has been written: an answer that waits for it promises no more than the database holds.
"""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final

import structlog

log = structlog.get_logger(__name__)
BATCH_MAX: Final = 200


class GroupCommit:
    """Writes batches one after the other in a thread of its own, in the order in which they were added.

    `write` is called there with a batch; what can't be written is its business. Only the event loop may call the
    methods. What waits is bounded by whoever waits for it: a request adds once.
    """

    def __init__(self, write: Callable[[Sequence[Any]], None]) -> None:
        self._write = write
        # With the last item of each `add` stands who waits for it: what was added before it has been written by then.
        self._waiting: list[tuple[Any, asyncio.Future[None] | None]] = []
        self._writing: asyncio.Task[None] | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="group-commit")

    async def add(self, items: Sequence[Any]) -> None:
        """Return when all of these items have been written, or given up by `write`."""
        if not items:
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting += [(item, None) for item in items[:-1]]
        self._waiting.append((items[-1], done))
        if self._writing is None:
            self._writing = asyncio.create_task(self._run())
        await done

    async def close(self) -> None:
        """Write what still waits; nothing may be added any more."""
        if self._writing is not None:
            await self._writing
        await asyncio.get_running_loop().run_in_executor(None, self._thread.shutdown)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH_MAX], self._waiting[BATCH_MAX:]
            try:
                await loop.run_in_executor(self._thread, self._write, [item for item, _ in batch])
            except Exception:  # a fault of ours: nobody may wait for ever
                log.exception("batch not written", action="group_commit.failed", count=len(batch))
            for _, done in batch:
                if done is not None and not done.done():  # done already: cancelled
                    done.set_result(None)
        self._writing = None
