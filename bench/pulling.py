"""What the web rows share: an organisation with plants and a token, servers that stay until the run ends, a client.

A run of the client counts only when every answer had the status it should have.
"""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.puller import HOST, Job, Outcome
from bench.world import World
from esm import clock
from tests import factories
from tests.services.proc import ManagedProcess
from trading_api.auth import issue_token
from trading_api.services import IssuedCredentials, issue_credentials

ROOT = Path(__file__).resolve().parent.parent
PLANTS = 50
CONNECTIONS = 16
LIST = "/trading/plant/list"
JOURNAL = "trading_api_pulljournal"
SERVERS = {
    "ours": ("manage.py", "web", "--port", "0"),
    "naive": ("-m", "bench.web_server", "naive"),
    "empty": ("-m", "bench.web_server", "empty"),
    "fastapi": ("-m", "bench.web_server", "fastapi"),
}


class Pulls:
    """One organisation that is pulled; everything is made when first asked for."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._ports: dict[str, int] = {}
        self._servers = world.until_end(ExitStack())

    @cached_property
    def issued(self) -> IssuedCredentials:
        """The credentials, with the plants that they may list."""
        connection = factories.connection()
        self.world.plants(connection, PLANTS)
        with self.world.database() as database:
            database.execute("VACUUM ANALYZE plants_plant")
        return issue_credentials(organisation=connection.organisation, at=clock.now())

    @cached_property
    def bearer(self) -> str:
        """A token that holds as long as any run."""
        credential = self.issued.credential
        return issue_token(client_id=credential.client_id, revision=credential.revision, at=clock.now())

    def port(self, server: str) -> int:
        """Where a server of `SERVERS` listens; started at the first time, stopped with the last row or the run."""
        self.start(server)
        return self._ports[server]

    def start(self, *servers: str) -> None:
        """Let these run; those that do not yet are started side by side."""
        fresh = {
            name: self._servers.enter_context(_running(name, SERVERS[name], self.world.environment))
            for name in servers
            if name not in self._ports
        }
        for name, process in fresh.items():
            self._ports[name] = int(process.wait_for_line(r"listening on http://[^:]+:(\d+)", 60)[1])

    def close(self) -> None:
        """Stop the servers: they cost the rows after these a little."""
        self._ports.clear()
        self._servers.close()

    def get(self, path: str = LIST, **headers: str) -> str:
        """A request with the token, as text."""
        given = {"Host": HOST, "Authorization": f"Bearer {self.bearer}", **headers}
        return (
            f"GET {path} HTTP/1.1\r\n"
            + "".join(f"{name}: {text}\r\n" for name, text in given.items())
            + "\r\n"
        )

    def token_request(self) -> str:
        """The right secret."""
        issued = self.issued
        body = json.dumps({"clientId": issued.credential.client_id, "clientSecret": issued.secret.reveal()})
        head = f"POST /trading/token HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n{body}"

    def rate(self, server: str, request: str, *, seconds: float, status: str = "200") -> float:
        """Answers a second over CONNECTIONS connections that ask again as soon as they are answered."""
        job = Job(port=self.port(server), request=request, connections=CONNECTIONS, seconds=seconds)
        outcome = pull(job, status=status)
        return outcome.statuses[status] / outcome.seconds

    def journaled(self) -> int:
        """How many rows the journal has."""
        with self.world.database() as database:
            row = database.execute(f"SELECT count(*) FROM {JOURNAL}").fetchone()
        return int(row[0]) if row else 0


def pull(job: Job, *, status: str) -> Outcome:
    """Run the client; raises RuntimeError when an answer had another status."""
    done = subprocess.run(
        [sys.executable, "-m", "bench.puller"],
        input=json.dumps(asdict(job)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=job.seconds + 60,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the client failed:\n{done.stderr[-2000:]}")
    told = json.loads(done.stdout)
    outcome = Outcome(**told | {"statuses": Counter(told["statuses"])})
    if set(outcome.statuses) != {status}:
        raise RuntimeError(f"answers by status: {dict(outcome.statuses)}")
    return outcome


@contextmanager
def _running(name: str, words: Sequence[str], environment: dict[str, str]) -> Iterator[ManagedProcess]:
    with TemporaryDirectory() as scratch:
        process = ManagedProcess(
            f"web {name}",
            [sys.executable, *words],
            log_file=Path(scratch) / "web.log",
            env={"PATH": os.environ["PATH"], **environment},
            cwd=ROOT,
        )
        try:
            yield process
        finally:
            process.terminate()
