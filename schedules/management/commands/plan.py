"""`manage.py plan WHAT`: day plans from the shell, with the same rules as everywhere else.

Every subcommand reads plants by their external id and days as YYYY-MM-DD of the plant's own calendar. With --json one
JSON document is written, also when something was refused: then it has `error`, and the exit code is 1.
"""

import json
import os
import sys
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dispatch.requests import Actor
from esm import clock
from plants.errors import Conflict, DomainError, Invalid, NotFound, Several
from plants.models import Organisation, Plant
from schedules.conflicts import Problem, blocks_publication, news_of
from schedules.csv_plans import MAX_BYTES
from schedules.management import texts
from schedules.models import OPEN, PlanState, PlanVersion
from schedules.policy import current_schedule_policy
from schedules.selectors.plans import history, plan_of_day, plans_of
from schedules.selectors.versions import diff_of, export_plans, newest_versions, slots_of
from schedules.services.copying import copy_day
from schedules.services.drafts import check_version
from schedules.services.importing import preview_import, store_import
from schedules.services.publishing import cancel_plan, publish, republish

MOST_LISTED = 100


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise ArgumentTypeError(f"{text!r} is no day like 2026-10-25") from error


class Command(BaseCommand):
    help = "Show, import, export, copy, check, publish and cancel day plans."

    def add_arguments(self, parser: ArgumentParser) -> None:
        kinds = parser.add_subparsers(dest="what", required=True)
        show = kinds.add_parser("show", help="a day slot by slot; without --day the plans there are")
        show.add_argument("--version-id", type=int, help="another version than the one in force")
        show.add_argument("--history", action="store_true", help="who did what")
        show.add_argument(
            "--diff", action="store_true", help="what differs from the version published before"
        )
        load = kinds.add_parser("import", help="drafts from a CSV file (- = standard input)")
        load.add_argument("file", metavar="FILE")
        load.add_argument("--dry-run", action="store_true", help="tell what it would do, store nothing")
        save = kinds.add_parser("export", help="plans as CSV that import takes back")
        save.add_argument("--to", type=_day, metavar="DAY", help="last day; --day alone: that day")
        save.add_argument("--output", metavar="FILE", default="-")
        copy = kinds.add_parser("copy", help="copy a day to other days, by the wall clock")
        copy.add_argument("--to", type=_day, metavar="DAY", nargs="+", required=True)
        copy.add_argument("--overwrite", action="store_true", help="also days that have a draft")
        kinds.add_parser(
            "check", help="what stands against the draft; exit code 1 when it can't be published"
        )
        put = kinds.add_parser(
            "publish", help="check the draft and carry it out; exit code 1 when problems stand against it"
        )
        put.add_argument("--accept-warnings", action="store_true")
        hand = kinds.add_parser(
            "republish", help="hand the published plan over to the plant's present carrier"
        )
        hand.add_argument("--accept-warnings", action="store_true")
        kinds.add_parser("cancel", help="end the published plan, take back what holds").add_argument(
            "--reason", required=True
        )
        for name, one in kinds.choices.items():
            _add_common(
                one, needs_plant=name not in ("import", "export"), needs_day=name not in ("show", "import")
            )

    def handle(self, *_args: Any, **options: Any) -> None:
        work = getattr(self, f"_{options['what']}")
        try:
            work(self._organisation_id(options), options)
            self.stdout.flush()
        except BrokenPipeError:  # the reader has enough: `plan show | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except DomainError as error:
            if options["json"]:
                self._json({"error": _error_json(error)})
                raise SystemExit(1) from error
            raise CommandError(texts.error_text(error)) from error

    def _organisation_id(self, options: dict[str, Any]) -> int:
        rows = Organisation.objects.order_by("pk")
        if options["organisation"]:
            rows = rows.filter(slug=options["organisation"])
        elif options["plant"]:
            plants = Plant.objects.filter(external_plant_id=options["plant"])
            rows = rows.filter(pk__in=plants.values("organisation_id"))
        found = list(rows[:2])
        if len(found) == 1:
            return found[0].pk
        if found:
            raise CommandError("--organisation: there are several, name one by its slug")
        raise NotFound("no such plant or organisation", path="plant", code="PLANT_NOT_FOUND")

    def _show(self, organisation_id: int, options: dict[str, Any]) -> None:
        if options["day"] is None:
            rows = plans_of(organisation_id=organisation_id, external_plant_id=options["plant"])
            plans = list(rows[:MOST_LISTED])
            self._tell(options, [texts.plan_json(one) for one in plans], map(texts.plan_line, plans))
            return
        view = plan_of_day(
            organisation_id=organisation_id,
            external_plant_id=options["plant"],
            day=options["day"],
            version_id=options["version_id"],
        )
        told, lines = texts.day_json(view), list(texts.day_lines(view))
        if options["diff"]:
            changes = diff_of(organisation_id=organisation_id, version_id=view.version.pk).texts()
            told["changes"] = changes
            lines += ["changes:", *(f"  {text}" for text in changes)]
        if options["history"]:
            events = history(organisation_id=organisation_id, plan_id=view.plan.pk)
            told["history"] = [
                {"at": one.at.isoformat(), "word": one.word, "actor": one.actor, "detail": one.detail}
                for one in events
            ]
            lines += ["history:", *(texts.event_line(one, zone=view.plan.time_zone) for one in events)]
        self._tell(options, told, lines)

    def _import(self, organisation_id: int, options: dict[str, Any]) -> None:
        preview = preview_import(organisation_id=organisation_id, content=_read(options["file"]))
        told, lines = texts.preview_json(preview), list(texts.preview_lines(preview))
        if options["dry_run"]:
            self._tell(options, told, [*lines, "nothing was stored"])
            return
        if preview.problems and not options["json"]:
            raise CommandError("\n".join([*lines, "nothing was stored"]))
        name = "standard input" if options["file"] == "-" else Path(options["file"]).name
        versions = store_import(
            organisation_id=organisation_id, preview=preview, actor=_actor(options), at=clock.now(), name=name
        )
        told["versions"] = [version.pk for version in versions]
        self._tell(options, told, [*lines, f"{len(versions)} drafts stored"])

    def _export(self, organisation_id: int, options: dict[str, Any]) -> None:
        first, last = options["day"], options["to"] or options["day"]
        plans = plans_of(
            organisation_id=organisation_id,
            external_plant_id=options["plant"],
            first_day=first,
            last_day=last,
        )
        versions = newest_versions(plan_ids=list(plans.values_list("pk", flat=True)))
        body = export_plans(
            organisation_id=organisation_id, version_ids=[one.pk for one in versions.values()]
        )
        if options["output"] != "-":
            Path(options["output"]).write_bytes(body.encode())
            self._tell(options, {"plans": len(versions)}, [f"{len(versions)} plans written"])
        elif options["json"]:
            self._json({"plans": len(versions), "csv": body})
        else:
            self.stdout.write(body, ending="")

    def _copy(self, organisation_id: int, options: dict[str, Any]) -> None:
        copies = copy_day(
            organisation_id=organisation_id,
            external_plant_id=options["plant"],
            from_day=options["day"],
            to_days=options["to"],
            actor=_actor(options),
            at=clock.now(),
            overwrite=options["overwrite"],
        )
        lines = [
            line
            for one in copies
            for line in (texts.version_line(one.version), *(f"  {note}" for note in one.notes))
        ]
        told = [texts.version_json(one.version) | {"notes": list(one.notes)} for one in copies]
        self._tell(options, told, lines)

    def _check(self, organisation_id: int, options: dict[str, Any]) -> None:
        version = _version(organisation_id, options, OPEN)
        problems = self._problems(organisation_id, version, options)
        self._tell_problems(version, problems, options)
        if blocks_publication(problems):
            raise SystemExit(1)

    def _problems(self, organisation_id: int, version: PlanVersion, options: dict[str, Any]) -> list[Problem]:
        return check_version(
            organisation_id=organisation_id, version_id=version.pk, actor=_actor(options), at=clock.now()
        )

    def _tell_problems(
        self, version: PlanVersion, problems: Sequence[Problem], options: dict[str, Any]
    ) -> None:
        version.refresh_from_db(fields=["state"])
        slots = slots_of(version_ids=[version.pk]).get(version.pk, [])
        lines = texts.problem_lines(problems, slots, zone=version.plan.time_zone)
        told = texts.version_json(version) | {"problems": texts.problems_json(problems)}
        self._tell(options, told, [texts.version_line(version), *lines])

    def _publish(self, organisation_id: int, options: dict[str, Any]) -> None:
        version = _version(organisation_id, options, OPEN)
        problems = self._problems(organisation_id, version, options)
        if blocks_publication(problems) or (news_of(problems) and not options["accept_warnings"]):
            self._tell_problems(version, problems, options)
            raise SystemExit(1)
        version = publish(
            organisation_id=organisation_id,
            version_id=version.pk,
            actor=_actor(options),
            at=clock.now(),
            policy=current_schedule_policy(),
            accept_warnings=options["accept_warnings"],
        )
        self._tell(options, texts.version_json(version), [texts.version_line(version)])

    def _republish(self, organisation_id: int, options: dict[str, Any]) -> None:
        version = republish(
            organisation_id=organisation_id,
            version_id=_version(organisation_id, options, [PlanState.PUBLISHED]).pk,
            actor=_actor(options),
            at=clock.now(),
            policy=current_schedule_policy(),
            accept_warnings=options["accept_warnings"],
        )
        self._tell(options, texts.version_json(version), [texts.version_line(version)])

    def _cancel(self, organisation_id: int, options: dict[str, Any]) -> None:
        version = cancel_plan(
            organisation_id=organisation_id,
            version_id=_version(organisation_id, options, [PlanState.PUBLISHED]).pk,
            actor=_actor(options),
            reason=options["reason"],
            at=clock.now(),
            policy=current_schedule_policy(),
        )
        self._tell(options, texts.version_json(version), [texts.version_line(version)])

    def _tell(self, options: dict[str, Any], told: object, lines: Iterable[str]) -> None:
        if options["json"]:
            self._json(told)
            return
        for line in lines:
            self.stdout.write(line)

    def _json(self, told: object) -> None:
        self.stdout.write(json.dumps(told, ensure_ascii=False, indent=1))


def _add_common(parser: ArgumentParser, *, needs_plant: bool, needs_day: bool) -> None:
    parser.add_argument("--plant", required=needs_plant, metavar="EXTERNAL_ID")
    parser.add_argument("--day", type=_day, required=needs_day, metavar="YYYY-MM-DD")
    parser.add_argument("--organisation", metavar="SLUG", help="needed when two organisations use the id")
    parser.add_argument("--by", default="shell", metavar="NAME", help="who does it, for the history")
    parser.add_argument("--json", action="store_true", help="write one JSON document")


def _actor(options: dict[str, Any]) -> Actor:
    return Actor(name=options["by"])


def _version(organisation_id: int, options: dict[str, Any], states: Sequence[PlanState]) -> PlanVersion:
    """The day's version in one of these states; says what there is instead when none is."""
    rows = PlanVersion.objects.select_related("plan__plant").filter(
        plan__organisation_id=organisation_id,
        plan__plant__external_plant_id=options["plant"],
        plan__day=options["day"],
    )
    found = rows.filter(state__in=states).first()
    if found is not None:
        return found
    newest = rows.order_by("-number").first()
    if newest is None:
        raise NotFound("nothing is planned for that day", path="day", code="PLAN_NOT_FOUND")
    named = " or ".join(str(state) for state in states)
    text = f"version {newest.number} is {newest.state}, and no other one is {named}"
    raise Conflict(text, path="day", code="NO_SUCH_VERSION")


def _read(name: str) -> bytes:
    """The file, one byte more than is taken at most."""
    try:
        if name == "-":
            return sys.stdin.buffer.read(MAX_BYTES + 1)
        with Path(name).open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise Invalid(error.strerror or "can't be read", path="file", code="NOT_READABLE") from error


def _error_json(error: DomainError) -> dict[str, object]:
    problems = error.problems if isinstance(error, Several) else [error]
    return {
        "code": error.code,
        "problems": [{"code": one.code, "path": one.path, "text": one.message} for one in problems],
    }
