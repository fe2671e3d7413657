"""The reverse channel as Voke pulls it: a list of plants, the same when nothing has changed, and tokens."""

from collections.abc import Callable, Sequence
from http.client import HTTPConnection

import msgspec
from django.conf import settings

from bench.floor_web import encode_rate, insert_rate, select_rate
from bench.puller import Job
from bench.pulling import HOST, JOURNAL, LIST, PLANTS, SERVERS, Pulls, pull
from bench.row import Better, Row, Target, Variant, at_least, at_most
from bench.world import World

ORDER = 50
TOKENS_PER_S = 50.0
WITHIN_S, QUICK_WITHIN_S = 240.0, 120.0


def rows(world: World) -> Sequence[Row]:
    """`plant_list`, `plant_list_304` and `token`."""
    lists = Lists(Pulls(world), seconds=0.5 if world.quick else 2.0)
    within_s = QUICK_WITHIN_S if world.quick else WITHIN_S
    return [
        Row(
            name="plant_list",
            what=f"{PLANTS} plants from the database, token checked, journal row written, one worker process",
            unit="req/s",
            better=Better.HIGHER,
            variants=[
                Variant(name="ours", run=lambda: lists.beside("ours")),
                Variant(name="naive", run=lambda: lists.beside("naive")),
                Variant(name="floor: empty view", run=lambda: lists.beside("empty")),
                Variant(name="floor: SQL", run=lists.select),
                Variant(name="floor: encoding", run=lists.encode),
                Variant(name="floor: journal INSERT", run=lists.insert),
                Variant(name="FastAPI", run=lambda: lists.beside("fastapi")),
            ],
            targets=[at_least("floor", 0.6)],
            within_s=within_s,
        ),
        Row(
            name="plant_list_304",
            what="the same, nothing has changed: one read query, one insert",
            unit="req/s",
            better=Better.HIGHER,
            variants=[
                Variant(name="ours", run=lists.unchanged),
                Variant(name="plant_list", run=lambda: lists.full("ours")),
            ],
            targets=[
                Target(
                    text=">= 1.2 x plant_list",
                    met=lambda result: result.value >= 1.2 * result.others["plant_list"],
                )
            ],
            within_s=within_s,
        ),
        Row(
            name="token",
            what=f"p99 of the answers at {TOKENS_PER_S:g} tokens a second",
            unit="ms",
            better=Better.LOWER,
            variants=[Variant(name="ours", run=_p99(lists.pulls, seconds=2.0 if world.quick else 6.0))],
            targets=[at_most(20, "ms")],
            within_s=within_s,
            done=lists.pulls.close,
        ),
    ]


class Lists:
    """The list of one organisation, by whichever server."""

    def __init__(self, pulls: Pulls, *, seconds: float) -> None:
        self.pulls = pulls
        self._seconds = seconds
        self._compared: set[str] = set()

    def beside(self, server: str) -> float:
        """`full`, while all servers run."""
        self.pulls.start(*SERVERS)
        return self.full(server)

    def full(self, server: str) -> float:
        """The whole list, or nothing at all from the empty view."""
        if server != "empty":
            self._compare(server)
        return self._rate(server, self.pulls.get())

    def unchanged(self) -> float:
        """304 to whoever has it."""
        tag = self._ask("ours")[1]
        return self._rate("ours", self.pulls.get(**{"If-None-Match": tag}), status="304")

    def _rate(self, server: str, request: str, *, status: str = "200") -> float:
        """Answers a second; each has its row in the journal when it comes."""
        before = self.pulls.journaled()
        rate = self.pulls.rate(server, request, seconds=self._seconds, status=status)
        if server != "empty" and self.pulls.journaled() < before + int(rate * self._seconds):
            raise RuntimeError("answers without a row in the journal")
        return rate

    def select(self) -> float:
        """The query alone."""
        return select_rate(
            self._url, organisation_id=self._organisation_id, threads=self._threads, seconds=self._seconds
        )

    def encode(self) -> float:
        """The body alone."""
        return encode_rate(self._url, organisation_id=self._organisation_id, seconds=self._seconds)

    def insert(self) -> float:
        """The journal row alone."""
        self.pulls.world.truncate(JOURNAL)
        return insert_rate(
            self._url,
            organisation_id=self._organisation_id,
            credential_id=self.pulls.issued.credential.pk,
            threads=self._threads,
            seconds=self._seconds,
        )

    @property
    def _url(self) -> str:
        return self.pulls.world.postgres.url

    @property
    def _threads(self) -> int:
        threads: int = settings.WEB_THREADS
        return threads

    @property
    def _organisation_id(self) -> int:
        return self.pulls.issued.credential.organisation_id

    def _compare(self, server: str) -> None:
        """Every server answers the same list."""
        if server in self._compared:
            return
        bodies = [msgspec.json.decode(self._ask(name)[0]) for name in ("ours", server)]
        if len(bodies[0]) != PLANTS or bodies[0] != bodies[1]:
            raise RuntimeError(f"{server} answers another list")
        self._compared.add(server)

    def _ask(self, server: str) -> tuple[bytes, str]:
        """Body and ETag of one answer."""
        connection = HTTPConnection(HOST, self.pulls.port(server), timeout=20)
        connection.request("GET", LIST, headers={"Authorization": f"Bearer {self.pulls.bearer}"})
        answer = connection.getresponse()
        body, tag = answer.read(), answer.headers.get("ETag", "")
        connection.close()
        return body, tag


def _p99(pulls: Pulls, *, seconds: float) -> Callable[[], float]:
    def run() -> float:
        job = Job(
            port=pulls.port("ours"),
            request=pulls.token_request(),
            connections=8,
            seconds=seconds,
            per_s=TOKENS_PER_S,
        )
        latencies = sorted(pull(job, status="200").latencies_ms)
        return latencies[int(len(latencies) * 0.99)]

    return run
