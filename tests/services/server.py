"""What every private server has in common: a directory of its own, start, stop, kill -9, restart, close."""

from pathlib import Path
from types import TracebackType
from typing import Self

from tests.services.proc import ManagedProcess, ServiceError, remove_directory, scratch_directory, wait_until


class Server:
    """A server as a child process. `stop` keeps its data for the next `start`; `close` leaves nothing behind.

    Ports and secrets are fixed when the object is made: addresses are valid before `start` and across
    `restart`.
    """

    name = "server"
    start_timeout_s = 180.0  # on a machine with much other work RabbitMQ takes a minute

    def __init__(self) -> None:
        self._directory: Path | None = None
        self._process: ManagedProcess | None = None

    @property
    def directory(self) -> Path:
        """The server's own temporary directory; it exists from the first `start` to `close`."""
        if self._directory is None:
            raise ServiceError(f"{self.name}: not started yet")
        return self._directory

    @property
    def process(self) -> ManagedProcess:
        """The server's process; ServiceError when it was not started."""
        if self._process is None:
            raise ServiceError(f"{self.name}: not running")
        return self._process

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.running

    def start(self) -> Self:
        """Start, and return when the server answers in its own protocol; no effect when it already runs."""
        if self.running:
            return self
        if self._directory is None:
            self._directory = scratch_directory(self.name)
            self.prepare()
        self._process = self.launch()
        try:
            wait_until(
                self.answers,
                timeout_s=self.start_timeout_s,
                what=f"{self.name} answers",
                process=self._process,
            )
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self) -> None:
        """Orderly stop; the data stay."""
        if self._process is not None:
            process, self._process = self._process, None
            process.terminate() if process.running else process.kill()

    def kill(self) -> None:
        """`kill -9`, as a crash would; the data stay."""
        if self._process is not None:
            process, self._process = self._process, None
            process.kill()

    def restart(self) -> None:
        """Stop and start on the same ports with the same data."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Stop and remove the directory."""
        self.stop()
        if self._directory is not None:
            directory, self._directory = self._directory, None
            remove_directory(directory)

    def prepare(self) -> None:
        """Fill the fresh directory, once."""

    def launch(self) -> ManagedProcess:
        """Start the process."""
        raise NotImplementedError

    def answers(self) -> bool:
        """Whether the server is ready for clients."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
