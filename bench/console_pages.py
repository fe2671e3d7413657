"""Every page and part of the console over a large organisation: milliseconds of the whole of Django, and statements.

    python -m bench.console_pages [--quick] [--plants 1000] [--rounds 100] [--only TEXT ...]

1,000 plants, ten million samples, 97,000 commands with their messages, events and proofs, 1,000 plans of 96 slots,
1,000,000 pulls, 5,000 alarm cases, 100,000 rows of audit, on a private PostgreSQL with the settings of production. With
more plants there are more of all that belongs to a plant, but no more samples: every plant speaks more seldom. One
line for each address, the slowest last. Middleware, session, queries and templates count; the network does not. `cpu`:
the median of what Python itself computes (this thread's time: neither PostgreSQL nor whoever else has the machine);
`db`: of what the session's process of PostgreSQL computes. Their sum is the page's time on a quiet machine without the
waits between the two, and can be compared on a busy one.
"""

import argparse
import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, Any

from bench.console import PRESENT, Fleet
from bench.console_seed import seed_past
from bench.world import World
from link.garbage import briefly_collected

if TYPE_CHECKING:
    from django.test import Client

WITHIN_MS = 100.0
_PART = {"HX-Request": "true"}
_DAY = PRESENT.date().isoformat()
_SETPOINT = {"direction": "EXPORT", "amount": "20", "until": "30", "consumption": "on"}


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request. `posts` = the form of a POST that only reads; `answers` = the status it has to answer."""

    address: str
    headers: Mapping[str, str] = field(default_factory=dict)
    posts: Mapping[str, str] | str | None = None

    @property
    def name(self) -> str:
        """How the table calls it."""
        target = self.headers.get("HX-Target", "")
        return f"{'POST ' * (self.posts is not None)}{self.address[:70]}{f' #{target}' if target else ''}"

    def send(self, client: "Client") -> Any:
        """The answer of the whole of Django."""
        if self.posts is None:
            return client.get(self.address, headers=self.headers)
        if isinstance(self.posts, str):
            return client.post(
                self.address, self.posts, content_type="application/json", headers=self.headers
            )
        return client.post(self.address, self.posts, headers=self.headers)


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What it costs: milliseconds (`cpu_ms`, `db_ms`: of Python, of PostgreSQL), statements, kB, and the status."""

    asked: Asked
    status: int
    p50_ms: float
    p99_ms: float
    cpu_ms: float
    db_ms: float
    queries: int
    kb: float

    def line(self) -> str:
        """One line of the table."""
        mark = "  MISSED" if self.p99_ms >= WITHIN_MS or self.status >= 400 else ""
        return (
            f"{self.p50_ms:8.1f} {self.p99_ms:8.1f} {self.cpu_ms:8.1f} {self.db_ms:8.1f} {self.queries:4d}"
            f" {self.kb:7.0f} kB {self.status}  {self.asked.name}{mark}"
        )


def _frame_and_lists() -> Iterator[Asked]:
    """The lists of the organisation, as pages and as the parts that are fetched while somebody looks."""
    for address in (
        "fleet/", "fleet/?show=cards", "fleet/?view=all&sort=soc", "fleet/emergencies/", "fleet/emergency/?all=1",
        "plans/", "plans/?show=without", "plans/?q=7", "plans/start/?plant=7", "plans/import/",
        "commands/", "commands/?state=UNCONFIRMED", "commands/?q=setpoint", "alarms/", "alarms/?tab=closed",
        "alarms/?tab=mine", "alarms/?severity=ERROR", "reverse/", "reverse/journal/?endpoint=update",
        "reverse/journal/?answer=refused", "reverse/journal/?plant=nobody", "connections/", "connections/credentials/",
        "connections/new/", "account/", "account/acts/", "account/second-factor/", "people/", "audit/",
        "audit/?before=50000", "audit/?action=command.sent", "_kit/",
    ):  # fmt: skip
        yield Asked(address=f"/console/{address}")
    for address, target in (
        ("fleet/?view=all", "fleet-list"), ("fleet/?q=7", "fleet-list"), ("fleet/top/", ""), ("fleet/day/", ""),
        ("find/?q=77", ""), ("find/?q=plant", ""), ("commands/", "list"), ("commands/news/?after=1", ""),
        ("commands/rows/?ids=1,2,3", ""), ("alarms/changed/?ids=1,2,3", ""), ("reverse/day/", ""),
        ("reverse/behind/", ""), ("reverse/journal/", ""),
    ):  # fmt: skip
        yield Asked(
            address=f"/console/{address}", headers={**_PART, **({"HX-Target": target} if target else {})}
        )


def _of_one_plant(plant_id: int) -> Iterator[Asked]:
    plant, plan = f"/console/plants/{plant_id}/", f"/console/plants/{plant_id}/plan/{_DAY}/"
    yield Asked(address=f"/console/fleet/peek/{plant_id}/", headers=_PART)
    for part in (
        "",
        "config/",
        "alarms/",
        "meter/",
        f"meter/?day={_DAY}",
        "history/",
        "act/",
        "act/?tab=battery",
    ):
        yield Asked(address=plant + part)
    for part in ("day/", "day/?width=1600", "now/", "last/", "act/box/", "act/rows/", "act/banner/"):
        yield Asked(address=plant + part, headers=_PART)
    for part in ("", "?edit=1"):
        yield Asked(address=plan + part)
    for part in ("state/", "versions/", "export/", "copy/", "cancel/"):
        yield Asked(address=plan + part, headers=_PART)
    slot = {
        "type": "POWER",
        "value": 10,
        "direction": "EXPORT",
        "withConsumption": True,
        "priority": "NORMAL",
    }
    yield Asked(address=f"{plan}check/", headers=_PART, posts=json.dumps({"slots": [slot] * 96}))
    for part in ("check", "dry", "review"):
        yield Asked(address=f"{plant}act/setpoint/{part}/", headers=_PART, posts=_SETPOINT)


def _of_one(found: Mapping[str, int]) -> Iterator[Asked]:
    command, case = f"/console/commands/{found['command']}/", f"/console/alarms/{found['case']}/"
    for address in (
        command, f"{command}record/", f"{command}record.json", case, f"/console/reverse/pulls/{found['pull']}/",
        f"/console/connections/{found['connection']}/", f"/console/connections/{found['connection']}/check/",
        f"/console/connections/{found['connection']}/sites/", f"/console/people/{found['person']}/",
        f"/console/reverse/updates/{found['update']}/approve/",
    ):  # fmt: skip
        yield Asked(address=address)
    yield Asked(address=f"{command}proof/", headers=_PART)
    yield Asked(address=f"/console/commands/{found['silent']}/")
    yield Asked(address=f"{case}chart/", headers=_PART)


class Pages:
    """Asks a signed-in admin's client at the present of the samples."""

    def __init__(self, fleet: Fleet, *, rounds: int) -> None:
        self.fleet, self.rounds = fleet, rounds

    def found(self) -> Mapping[str, int]:
        """One id of each kind of thing that has a page."""
        from dispatch.models import Command  # noqa: PLC0415 - after the settings
        from plants.models import AlarmCase, Plant, User  # noqa: PLC0415
        from trading_api.models import ConfigUpdateRequest, PullJournal  # noqa: PLC0415

        person = int(self.fleet.client.session["_auth_user_id"])
        User.objects.filter(pk=person).update(role="ADMIN")
        plant = Plant.objects.get(pk=self.fleet.history.plant_ids[7])
        commands = Command.objects.filter(organisation=plant.organisation).order_by("pk")
        return {
            "plant": plant.pk,
            "connection": plant.connection_id,
            "command": commands.filter(plant=plant, state="COMPLETED")[40].pk,
            "silent": commands.filter(state="UNCONFIRMED")[0].pk,
            "case": AlarmCase.objects.filter(organisation=plant.organisation, closed_at=None)[3].pk,
            "pull": PullJournal.objects.order_by("pk")[0].pk,
            "update": ConfigUpdateRequest.objects.filter(state="OPEN")[0].pk,
            "person": person,
        }

    def asked(self) -> Sequence[Asked]:
        """Every page and part."""
        found = self.found()
        return [*_frame_and_lists(), *_of_one_plant(found["plant"]), *_of_one(found)]

    def cost(self, asked: Asked) -> Cost:
        """Asked for again and again; the first answers do not count."""
        from django.db import connection  # noqa: PLC0415
        from django.test.utils import CaptureQueriesContext  # noqa: PLC0415

        client = self.fleet.client
        client.raise_request_exception = False
        asked.send(client)
        with CaptureQueriesContext(connection) as context:
            response = asked.send(client)
            content = b"".join(response) if response.streaming else response.content
        queries = len(context)  # the next request forgets them
        times_ms = [self._time(asked) for _ in range(self.rounds)]
        cuts = statistics.quantiles([wall for wall, _, _ in times_ms], n=100, method="inclusive")
        return Cost(
            asked=asked,
            status=response.status_code,
            p50_ms=cuts[49],
            p99_ms=cuts[98],
            cpu_ms=statistics.median(cpu for _, cpu, _ in times_ms),
            db_ms=statistics.median(computed for _, _, computed in times_ms),
            queries=queries,
            kb=len(content) / 1024,
        )

    def _time(self, asked: Asked) -> tuple[float, float, float]:
        began, computed, by_database = perf_counter(), thread_time(), _database_ms()
        response = asked.send(self.fleet.client)
        if response.streaming:
            list(response)
        wall_ms, cpu_ms = (perf_counter() - began) * 1000, (thread_time() - computed) * 1000
        return wall_ms, cpu_ms, _database_ms() - by_database


def _database_ms() -> float:
    """Processor time of PostgreSQL's process behind our session, so far (Linux tells it)."""
    from django.db import connection  # noqa: PLC0415 - after the settings

    pid = connection.connection.info.backend_pid
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6


@contextmanager
def _past(world: World, plants: int | None) -> Iterator[Fleet]:
    fleet = Fleet(world, plants=plants)
    plants = list(fleet.history.plant_ids)
    with world.database() as database:
        row = database.execute(
            "SELECT organisation_id FROM plants_plant WHERE id = %s", [plants[0]]
        ).fetchone()
        about = {"plants": plants, "organisation": row[0] if row else 0, "at": PRESENT}
        seed_past(database, about, quick=world.quick)
    yield fleet


def measure(fleet: Fleet, *, rounds: int, only: Sequence[str]) -> list[Cost]:
    """The costs, slowest last."""
    from esm.warm import load_pages  # noqa: PLC0415 - after the settings

    pages = Pages(fleet, rounds=rounds)
    with fleet.there():
        chosen = [one for one in pages.asked() if not only or any(text in one.name for text in only)]
        found = []
        load_pages()
        with briefly_collected():  # as `manage.py web`
            for asked in chosen:
                found.append(pages.cost(asked))
                print(found[-1].line(), flush=True)
    return sorted(found, key=lambda one: one.p99_ms)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        prog="python -m bench.console_pages",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="a tenth of the plants and rows")
    parser.add_argument("--plants", type=int, help="how many plants; 1,000, or 100 with --quick")
    parser.add_argument("--rounds", type=int, default=100, help="how often each address is asked")
    parser.add_argument("--only", nargs="*", default=[], help="addresses that hold one of these")
    options = parser.parse_args()
    with World(quick=options.quick) as world, _past(world, options.plants) as fleet:
        costs = measure(fleet, rounds=options.rounds, only=options.only)
    missed = [one for one in costs if "MISSED" in one.line()]
    print(f"\n{len(costs)} addresses, {len(missed)} missed; the slowest:")
    print("     p50      p99      cpu       db stmts    size")
    for one in costs[-12:]:
        print(one.line())


if __name__ == "__main__":
    main()
