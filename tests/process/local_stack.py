"""Starts the services of docker-compose.yml as processes of this machine, each with its command and environment.

A service sees what its container would see: the image's and its own variables and no others, its mounts below a root
of its own (paths are rewritten to it), the other services under their addresses here. PostgreSQL and RabbitMQ are the
private servers of the tests in place of their images; RabbitMQ runs on what `sim-init` made. Everything else is the
file's own words, health checks too.
"""

import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.process.compose import COMPLETED, HEALTHY, Compose, Service
from tests.process.processes import ROOT
from tests.services.postgres import PostgresServer
from tests.services.proc import ManagedProcess, free_port, wait_until
from tests.services.rabbit import RabbitServer
from tests.services.server import Server

PORTS = {"postgres": 5432, "redis": 6379, "rabbitmq": 5671, "web": 8000, "voke-sim": 4410}
_NAMES = r"postgres|redis|rabbitmq|web|voke\.internal"
_ADDRESS = re.compile(rf"(?<![\w.-])({_NAMES}|0\.0\.0\.0|127\.0\.0\.1):(\d+)")
_HOST_WORD = re.compile(rf"(?<=,)({_NAMES})$")
_PORT_WORD = re.compile(rf"(?:^|(?<=\nport ))({'|'.join(map(str, PORTS.values()))})(?=\n|$)")
_PATH = re.compile(r"(?<![\w.])(/srv/sim|/run/secrets|/data|/tmp)(?![\w.-])")
_ENV_LINE = re.compile(r"^ENV (.+)$", re.MULTILINE)
START_TIMEOUT_S = 180.0


def image_environment() -> dict[str, str]:
    """The variables of our image: the ENV lines of the Dockerfile's last stage, but for its PATH."""
    stage = (ROOT / "Dockerfile").read_text(encoding="utf-8").rpartition("\nFROM ")[2]
    pairs = [word.partition("=") for line in _ENV_LINE.findall(stage) for word in line.split()]
    return {name: value for name, _, value in pairs if name != "PATH"}


class SimRabbit(RabbitServer):
    """The private RabbitMQ with the configuration that the compose file names and `sim-init` wrote."""

    def __init__(self, *, port: int, variables: Mapping[str, str], ca_file: Path) -> None:
        super().__init__()
        self.port = port
        self._variables = variables
        self._ca_file = ca_file

    @property
    def ca_file(self) -> Path:
        return self._ca_file

    def prepare(self) -> None:
        self.prepare_node()

    def _environment(self) -> dict[str, str]:
        return {**super()._environment(), **self._variables}


class LocalStack:
    """One installation; a context manager that leaves nothing running."""

    def __init__(self, compose: Compose, *profiles: str, directory: Path) -> None:
        self.services = {service.name: service for service in compose.active(*profiles)}
        self.ports = {name: free_port() for name in PORTS}
        self.processes: dict[str, ManagedProcess] = {}
        self._secrets = compose.raw["secrets"]
        self._directory = directory
        self._servers: dict[str, Server] = {}

    # Life -----------------------------------------------------------------------------------------------

    def up(self) -> None:
        """Start everything in order, each when what it needs is there; return when all are healthy."""
        for service in self.services.values():
            for need, condition in service.needs.items():
                if need in self.services:
                    self._await(self.services[need], condition["condition"])
            self._start(service)
        for service in self.services.values():
            self._await(service, COMPLETED if service.is_one_shot else HEALTHY)

    def run_again(self, name: str) -> str:
        """A one-shot once more, as a second `up` does; what it wrote. It must end well."""
        process = self._process(self.services[name])
        assert process.wait(START_TIMEOUT_S) == 0, process.output()
        return process.output()

    def down(self) -> dict[str, int]:
        """SIGTERM to every process that runs, all within their grace; exit codes by service."""
        running = {name: one for name, one in self.processes.items() if not self.services[name].is_one_shot}
        apart = {name: one for name, one in running.items() if name != "redis"}
        codes = _terminated(apart, self.services)
        # Compose too stops a service after those that need it.
        return codes | _terminated({"redis": running["redis"]}, self.services)

    def close(self) -> None:
        for process in self.processes.values():
            if process.running:
                process.kill()
        for server in reversed(self._servers.values()):
            server.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def database_url(self) -> str:
        server = self._servers["postgres"]
        assert isinstance(server, PostgresServer)
        return server.url

    def volume_files(self) -> dict[str, bytes]:
        """What is in the volumes that `sim-init` fills, by volume and name."""
        volumes = self._directory / "volumes"
        return {
            str(file.relative_to(volumes)): file.read_bytes()
            for file in volumes.glob("sim-*/*")
            if file.is_file()
        }

    # One service ----------------------------------------------------------------------------------------

    def _start(self, service: Service) -> None:
        self._make_mounts(service)
        if service.name == "postgres":
            server = PostgresServer(durable=False)
            server.port = self.ports["postgres"]
            server.password = service.environment["POSTGRES_PASSWORD"]
            self._serve(service.name, server)
        elif service.name == "rabbitmq":
            self._serve(service.name, self._rabbit(service))
        else:
            self.processes[service.name] = self._process(service)

    def _serve(self, name: str, server: Server) -> None:
        self._servers[name] = server
        server.start()

    def _rabbit(self, service: Service) -> SimRabbit:
        """sim-init wrote paths of its own root; in a container they are the same in both."""
        variables = self._own_variables(service)
        configuration = Path(variables["RABBITMQ_CONFIG_FILE"])
        text = configuration.read_text().replace(str(self._root("sim-init")), str(self._root("rabbitmq")))
        configuration.write_text(text)
        return SimRabbit(
            port=self.ports["rabbitmq"], variables=variables, ca_file=configuration.with_name("ca.pem")
        )

    def _process(self, service: Service) -> ManagedProcess:
        return ManagedProcess(
            service.name,
            [self._local_word(word, service) for word in service.command],
            log_file=self._directory / f"{service.name}.log",
            env=self._variables(service),
            cwd=ROOT,
        )

    def _await(self, service: Service, condition: str) -> None:
        match condition:
            case "service_completed_successfully":
                process = self.processes[service.name]
                if (code := process.wait(START_TIMEOUT_S)) != 0:
                    raise process.error(f"ended with {code}")
            case "service_healthy":
                server = self._servers.get(service.name)
                wait_until(
                    lambda: self.is_healthy(service.name),
                    timeout_s=START_TIMEOUT_S,
                    what=f"{service.name} is healthy: {' '.join(service.health_command)}",
                    process=server.process if server else self.processes[service.name],
                    interval_s=0.2,
                )
            case _:
                raise ValueError(f"{service.name}: unknown condition {condition}")

    def is_healthy(self, name: str) -> bool:
        """Run the service's health check once."""
        service = self.services[name]
        try:
            done = subprocess.run(
                [self._local_word(word, service) for word in service.health_command],
                env=self._variables(service),
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=service.health_timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    # What a container would see -------------------------------------------------------------------------

    def _root(self, name: str) -> Path:
        return self._directory / "roots" / name

    def _make_mounts(self, service: Service) -> None:
        """The service's own view: /tmp, its volumes, its secrets, and nothing of other services."""
        root = self._root(service.name)
        (root / "tmp").mkdir(parents=True)
        for target, (volume, _) in service.mounts.items():
            kept = self._directory / "volumes" / volume
            kept.mkdir(parents=True, exist_ok=True)
            link = root / target.lstrip("/")
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(kept)
        for name in service.raw.get("secrets", []):
            link = root / "run" / "secrets" / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(ROOT / self._secrets[name]["file"])

    def _own_variables(self, service: Service) -> dict[str, str]:
        return {name: self._local(value, service) for name, value in service.environment.items()}

    def _variables(self, service: Service) -> dict[str, str]:
        image = image_environment() if service.is_ours else {}
        return {
            "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
            "HOME": "/nonexistent",
            "LANG": "C.UTF-8",
            "TMPDIR": str(self._root(service.name) / "tmp"),
            **image,
            **self._own_variables(service),
        }

    def _local(self, text: str, service: Service) -> str:
        """Addresses and paths of the containers as they are on this machine."""
        text = _ADDRESS.sub(self._local_address, text)
        text = _HOST_WORD.sub("localhost", text)
        return _PATH.sub(lambda found: f"{self._root(service.name)}{found[1]}", text)

    def _local_word(self, word: str, service: Service) -> str:
        """A word of a command, which may also be a port or hold one."""
        if word == "0.0.0.0":
            return "127.0.0.1"
        word = _PORT_WORD.sub(lambda found: str(self._port_here(int(found[1]))), word)
        return self._local(word, service)

    def _local_address(self, found: re.Match[str]) -> str:
        host = "127.0.0.1" if found[1][0].isdigit() else "localhost"
        return f"{host}:{self._port_here(int(found[2]))}"

    def _port_here(self, port: int) -> int:
        return self.ports[next(name for name, usual in PORTS.items() if usual == port)]


def _terminated(processes: Mapping[str, ManagedProcess], services: Mapping[str, Service]) -> dict[str, int]:
    for process in processes.values():
        process.signal(signal.SIGTERM)
    return {name: process.wait(services[name].stop_grace_s) for name, process in processes.items()}
