"""Live data of a large fleet: processor time and memory of announcing, of following, and of the pages' streams.

    python -m bench.live_fleet [--plants 10000] [--every 5] [--streams 100] [--shown 50] [--seconds 20]

Every plant speaks each `every` seconds. One process stands for two: what the ingest does after its commit (announce,
encode, write to a private Redis) and what a web process does (follow Redis, keep the ring, serve `streams` pages that
show `shown` plants each). Each part is a thread of its own, so the kernel tells what it costs. Prints JSON.
"""

import argparse
import asyncio
import json
import os
import resource
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from time import perf_counter
from typing import Any

from esm.shell import Answer
from esm.streams import StreamLimits, Streams
from live.events import Announcement, Topic
from live.grants import Grant
from live.publisher import Publisher
from live.redis_log import RedisReader, RedisSink
from live.ring import Ring
from live.wishes import wishes_of
from tests.services.redis import RedisServer

START = datetime(2026, 1, 13, 13, tzinfo=UTC)
_SLICE_S = 0.05
_LIMITS = StreamLimits(streams_max=2_000, per_person=2_000, max_age_s=3_600)


def announced(plant_ids: Sequence[int], at: datetime) -> list[Announcement]:
    """As `plants.telling.tell_measured` announces a batch."""
    return [
        Announcement(
            1,
            Topic.PLANT,
            str(one),
            {
                "plant": one,
                "grid_kw": -100.25,
                "pv_kw": 140.5,
                "battery_kw": 12.75,
                "load_kw": 53.0,
                "soc_pct": 61.5,
                "quality": "GOOD",
                "measured_at": at.isoformat(),
            },
            at,
            one,
            "power",
            at.timestamp(),
        )
        for one in plant_ids
    ]


def speak(publisher: Publisher, options: argparse.Namespace, stop: threading.Event) -> None:
    """All plants in turn, a slice at a time; what the announcing thread spends stands for the ingest's part."""
    per_slice = max(1, round(options.plants * _SLICE_S / options.every))
    began, said = perf_counter(), 0
    while not stop.is_set():
        ids = [(said + number) % options.plants + 1 for number in range(per_slice)]
        publisher.put(announced(ids, START + timedelta(seconds=perf_counter() - began)))
        said += per_slice
        stop.wait(max(0.0, said / per_slice * _SLICE_S - (perf_counter() - began)))


class Page:
    """A stream that counts what it is sent."""

    def __init__(self, shown: Sequence[int]) -> None:
        text = f"plant:{','.join(map(str, shown))}|command:p{shown[0]}|alarm|link"
        self.grant = Grant(organisation_id=1, user_id=1, session_key="", wishes=wishes_of(text))
        self.bytes = self.frames = 0

    async def send(self, message: Mapping[str, Any]) -> None:
        """As the server's."""
        if body := message.get("body"):
            self.bytes += len(body)
            self.frames += 1

    async def receive(self) -> Mapping[str, Any]:
        """Nobody leaves."""
        await asyncio.Event().wait()
        return {}


async def _serve(
    streams: Streams, pages: Sequence[Page], ready: threading.Event, stop: threading.Event
) -> None:
    await streams.begin()
    running = [
        asyncio.create_task(
            streams.serve(
                Answer(status=200, headers=[], body=b"", stream=page.grant), page.receive, page.send
            )
        )
        for page in pages
    ]
    ready.set()
    while not stop.is_set():
        await asyncio.sleep(0.2)
    streams.close()
    await asyncio.gather(*running)
    await streams.end()


@contextmanager
def _thread(name: str, target: Any) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=target, name=name, daemon=True)
    thread.start()
    yield thread
    thread.join(10)


def _spent_ms() -> dict[str, float]:
    """Processor time of each thread of this process so far, by name."""
    found = {}
    for thread in threading.enumerate():
        file = Path(f"/proc/self/task/{thread.native_id}/schedstat")
        if file.exists():
            found[thread.name] = int(file.read_text().split()[0]) / 1e6
    return found


def measure(options: argparse.Namespace, redis: RedisServer) -> dict[str, object]:
    """Milliseconds of each part in a second, and what one page is sent."""
    ring, stop, ready = Ring(), threading.Event(), threading.Event()
    streams = Streams(ring, _LIMITS, allowed=lambda grants: grants, following=_nothing, now=lambda: START)
    pages = [
        Page(
            [
                (number + one * options.plants // options.shown) % options.plants + 1
                for one in range(options.shown)
            ]
        )
        for number in range(options.streams)
    ]
    reader, publisher = RedisReader(redis.url, ring), Publisher(RedisSink(redis.url))
    with (
        _thread("follow", lambda: reader.run(stop)),
        _thread("streams", lambda: asyncio.run(_serve(streams, pages, ready, stop))),
    ):
        reader.attached.wait(10)
        ready.wait(10)
        before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with _thread("announce", lambda: speak(publisher, options, stop)):
            threading.Event().wait(options.every + 1)  # every plant has spoken
            began, spent, redis_ms = perf_counter(), _spent_ms(), _of_process(redis)
            told = [(page.bytes, page.frames) for page in pages]
            threading.Event().wait(options.seconds)
            seconds = perf_counter() - began
            parts = {name: (ms - spent[name]) / seconds for name, ms in _spent_ms().items() if name in spent}
            parts["redis"] = (_of_process(redis) - redis_ms) / seconds
            since = zip(pages, told, strict=True)
            grown = [(page.bytes - size, page.frames - frames) for page, (size, frames) in since]
            stop.set()
    publisher.close(within_s=5)
    return {
        "values_per_s": options.plants / options.every,
        "ms_per_s": {name: round(ms, 1) for name, ms in sorted(parts.items()) if ms >= 0.05},
        "page_bytes_per_s": round(sum(size for size, _ in grown) / len(grown) / seconds),
        "page_frames_per_s": round(sum(frames for _, frames in grown) / len(grown) / seconds, 1),
        "memory_mb": round((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb) / 1024, 1),
        "lost": publisher.failures,
    }


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _of_process(redis: RedisServer) -> float:
    return int(Path(f"/proc/{redis.process.pid}/schedstat").read_text().split()[0]) / 1e6


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.live_fleet",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--plants", type=int, default=10_000)
    parser.add_argument("--every", type=float, default=5.0)
    parser.add_argument("--streams", type=int, default=100)
    parser.add_argument("--shown", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    with RedisServer() as redis:
        print(json.dumps(measure(options, redis)))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "esm.settings")
    main()
