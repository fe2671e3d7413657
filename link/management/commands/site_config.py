"""`manage.py site_config`: what Voke was told of a plant's site and what it has; ask it now; publish again."""

from argparse import ArgumentParser
from collections.abc import Iterator, Mapping
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from dispatch.policy import current_policy
from dispatch.requests import Actor
from dispatch.selectors_site import FamilyState, SiteState, drifted_reports, site_state
from dispatch.services.site_config import republish_plant
from dispatch.site_config import FAMILIES, words
from esm import clock
from link.management.choosing import plant_called
from link.site_reports import current_report_options, fetch
from plants.errors import DomainError
from plants.models import Plant
from vcp import Family

_MOST_DRIFTED = 1_000


class Command(BaseCommand):
    help = "Topology, limits and fallback of a plant: versions, what was published, what Voke reports, drift."

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_mutually_exclusive_group(required=True)
        what.add_argument("--show", metavar="PLANT", help="versions, publication and drift of a plant")
        what.add_argument("--ask", metavar="PLANT", help="ask Voke's REST about a plant now, then show it")
        what.add_argument("--republish", metavar="PLANT", help="send a plant's site config again")
        what.add_argument("--drift", action="store_true", help="every plant whose drift counts")
        parser.add_argument("--organisation", metavar="SLUG", help="needed when two organisations use the id")
        parser.add_argument(
            "--family",
            action="append",
            choices=[family.value for family in FAMILIES],
            help="with --republish: this family only; may be given again",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        if options["drift"]:
            self._list_drift()
            return
        name = options["show"] or options["ask"] or options["republish"]
        plant = plant_called(name, options["organisation"])
        try:
            if options["republish"]:
                self._republish(plant, options["family"])
                return
            if options["ask"]:
                fetch(plant=plant, at=clock.now(), options=current_report_options())
        except DomainError as error:
            raise CommandError(f"{error.code} {error.path}: {error}") from error
        for line in _lines(site_state(plant_id=plant.pk, site_revision=plant.site_revision)):
            self.stdout.write(line)

    def _republish(self, plant: Plant, families: list[str] | None) -> None:
        chosen = [Family(one) for one in families] if families else list(FAMILIES)
        republish_plant(
            plant_id=plant.pk, actor=Actor(name="shell"), policy=current_policy(), families=chosen
        )
        names = ", ".join(family.value for family in chosen)
        self.stdout.write(f"{plant.external_plant_id}: {names} will be sent again within seconds")

    def _list_drift(self) -> None:
        count = 0
        for report in drifted_reports()[:_MOST_DRIFTED]:
            count += 1
            self.stdout.write(
                f"{report.plant.external_plant_id} since {report.drifted_since:%Y-%m-%d %H:%M:%S} UTC"
            )
            for row in report.drift:
                self.stdout.write(f"  {_drift_line(row)}")
        self.stdout.write(f"{count} plants drift")


def _lines(state: SiteState) -> Iterator[str]:
    for one in state.families:
        yield f"{one.family.value}: {_published(one)}"
        for version in one.versions:
            yield f"  v{version.number} {version.made_at:%Y-%m-%d %H:%M:%S} UTC"
            yield from (f"    {change}" for change in version.changes)
    report = state.report
    if report is None:
        yield "Voke was never asked"
        return
    answered = f"{report.answered_at:%Y-%m-%d %H:%M:%S} UTC" if report.answered_at else "never"
    yield f"Voke last answered: {answered}" + (
        f"; last failure: {report.error_code}" if report.error_code else ""
    )
    yield from (f"drift      {_drift_line(row)}" for row in state.drift)
    yield from (f"seen once  {_drift_line(row)}" for row in state.suspected)
    if report.answered_at and not state.drift and not state.suspected:
        yield "no drift"


def _published(one: FamilyState) -> str:
    if one.published is None or one.published.message is None:
        return "not published"
    version = f"v{one.published.version.number} " if one.published.version else ""
    waiting = "" if one.is_current else ", a newer one waits"
    return f"{version}{one.published.message.outcome.lower()}{waiting}"


def _drift_line(row: Mapping[str, Any]) -> str:
    return f"{row['family']} {row['field']}: ours {words(row['ours'])}, Voke's {words(row['theirs'])}"
