"""The ASGI shell alone: a WSGI application that tells what reached it, and a server played by the test."""

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

from esm.shell import REFUSAL, Answer, Message, Scope, Shell, ShellLimits

WIDE = "/files/"
LIMITS = ShellLimits(
    open_max=30, threads=2, queue_max=3, body_max_bytes=100, body_timeout_s=0.05, wide_paths={WIDE: 1_000}
)
OVERLOAD = Answer(status=503, headers=[(b"retry-after", b"2")], body=b"full")


def tell(environ: dict[str, Any], start_response: Any) -> list[bytes]:
    """Answers with what WSGI showed it."""
    refusal = environ["asgi.scope"].get(REFUSAL)
    seen = {
        "body": environ["wsgi.input"].read().decode(),
        "length": environ.get("CONTENT_LENGTH"),
        "refused": refusal and refusal.status,
        "headers": {name: value for name, value in environ.items() if name.startswith("HTTP_")},
    }
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(seen).encode()]


def shell(app: Any = tell, **changes: Any) -> Shell:
    facts: dict[str, Any] = {
        "warm": lambda: None,
        "overload": lambda _: OVERLOAD,
        "after_turning_away": lambda: None,
    }
    return Shell(app, LIMITS, **(facts | changes))


def scope(*headers: tuple[bytes, bytes], path: str = "/x", method: str = "POST") -> Scope:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "root_path": "",
        "query_string": b"",
        "http_version": "1.1",
        "headers": list(headers),
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }


class Client:
    """One request as the server hands it to the shell; after its events it stays silent."""

    def __init__(self, *events: Message) -> None:
        self.events = list(events)
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        if self.events:
            return self.events.pop(0)
        await asyncio.Event().wait()
        raise AssertionError("never reached")

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def headers(self) -> dict[bytes, bytes]:
        return dict(self.sent[0]["headers"])

    @property
    def seen(self) -> dict[str, Any]:
        return json.loads(self.sent[1]["body"])  # type: ignore[no-any-return]


def part(body: bytes, *, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def run(work: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        await asyncio.wait_for(work, 20)

    asyncio.run(bounded())


def exchange(where: Scope, *events: Message, app: Any = tell) -> Client:
    client = Client(*events)
    run(shell(app)(where, client.receive, client.send))
    return client
