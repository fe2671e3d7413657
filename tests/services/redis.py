"""A private Redis without persistence."""

import socket
from pathlib import Path

from tests.services.missing import require
from tests.services.proc import ManagedProcess, free_port
from tests.services.server import Server


class RedisServer(Server):
    """`url` is what REDIS_URL takes. Ready within some 10 ms; empty after every start."""

    name = "redis"

    def __init__(self) -> None:
        super().__init__()
        self.port = free_port()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def launch(self) -> ManagedProcess:
        program = require("redis-server")
        options = {
            "port": self.port,
            "bind": "127.0.0.1",
            "save": "",
            "appendonly": "no",
            "dir": self.directory,
        }
        argv: list[str | Path] = [program]
        for option, value in options.items():
            argv += [f"--{option}", str(value)]
        return ManagedProcess(self.name, argv, log_file=self.directory / "redis.log", cwd=self.directory)

    def answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False
