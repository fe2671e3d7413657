"""A host that answers REST requests as told, in a thread of its own; it keeps what it was asked."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

Answer = Callable[["Asked"], tuple[int, bytes] | None]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request; `handler` lets an answer be written by hand (then it answers None)."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    handler: BaseHTTPRequestHandler


@dataclass(kw_only=True)
class FarRest:
    """Where it listens (without TLS) and what it was asked."""

    url: str
    asked: list[Asked] = field(default_factory=list)


def document(status: int, content: Any) -> Answer:
    """Always the same JSON."""
    return lambda _asked: (status, json.dumps(content).encode())


def listing(*sites: dict[str, str]) -> Answer:
    """Sites in pages, as Voke lists them."""

    def answer(asked: Asked) -> tuple[int, bytes]:
        page, limit = int(asked.query["page"]), int(asked.query["limit"])
        rows = sites[(page - 1) * limit : page * limit]
        meta = {"page": page, "limit": limit, "total": len(sites), "totalPages": -(-len(sites) // limit)}
        return 200, json.dumps({"data": rows, "meta": meta}).encode()

    return answer


@contextmanager
def far_rest(answer: Answer) -> Iterator[FarRest]:
    """Serves until the block ends."""
    host: FarRest

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            asked = Asked(path=parts.path, query=query, headers=dict(self.headers), handler=self)
            host.asked.append(asked)
            told = answer(asked)
            if told is not None:
                status, content = told
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

        def log_message(self, *_words: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    host = FarRest(url=f"http://127.0.0.1:{server.server_address[1]}/api/v1")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
