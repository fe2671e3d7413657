"""uvicorn in a thread, on a socket of our own: the port is known before the first request."""

import socket
import threading
from collections.abc import Callable
from typing import Any

import uvicorn

_STOP_TIMEOUT_S = 10.0
_BACKLOG = 128


class RestServer:
    """Serves one ASGI application."""

    def __init__(self, app: Callable[..., Any], *, host: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._socket = socket.socket(family, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((host, port))
        self._socket.listen(_BACKLOG)
        self._host = f"[{host}]" if ":" in host else host
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            date_header=False,  # the application tells Voke's own clock
            lifespan="off",
            timeout_keep_alive=5,
            timeout_graceful_shutdown=2,
            limit_concurrency=100,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._serve, name="voke-sim-rest", daemon=True)

    @property
    def url(self) -> str:
        """Address without a path."""
        return f"http://{self._host}:{self._socket.getsockname()[1]}"

    def start(self) -> None:
        """Begin to serve; the socket takes connections already."""
        self._thread.start()

    def stop(self) -> None:
        """Finish open requests and stop."""
        self._server.should_exit = True
        if self._thread.is_alive():
            self._thread.join(_STOP_TIMEOUT_S)
        self._socket.close()

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])
