"""What runs by the clock, when it last did its work, and how often it failed."""

from django.contrib import admin
from django.utils.safestring import SafeString

from esm import clock
from plants.admin.base import MachineOwned
from plants.admin.marks import NOTHING, ago, moment, muted, stack
from plants.admin.theme import display
from watch.admin.looks import tick_chip
from watch.models import TickRun


@admin.register(TickRun)
class TickRunAdmin(MachineOwned):
    list_display = ("tick", "state_mark", "finished", "took", "run_count", "failure_count")
    search_fields = ("name",)
    search_help_text = "Name"
    ordering = ("name",)
    fieldsets = (
        (None, {"fields": ("tick", "state_mark", "finished_precise", "started", "took", "watched")}),
        ("Counted", {"fields": ("run_count", "failure_count", "failed", "last_failure")}),
    )

    @display(description="Periodic step", ordering="name")
    def tick(self, row: TickRun) -> SafeString:
        return stack(row.name.replace("_", " "))

    @display(description="Last run", ordering="ok")
    def state_mark(self, row: TickRun) -> SafeString:
        return tick_chip(row)

    @display(description="Last did its work", ordering="finished_at")
    def finished(self, row: TickRun) -> SafeString:
        return ago(row.finished_at, now=clock.now())

    @display(description="Last did its work")
    def finished_precise(self, row: TickRun) -> SafeString:
        return moment(row.finished_at, precise=True)

    @display(description="Last began")
    def started(self, row: TickRun) -> SafeString:
        return moment(row.started_at, precise=True)

    @display(description="Took", ordering="duration_s")
    def took(self, row: TickRun) -> SafeString:
        return NOTHING if row.duration_s is None else muted(f"{row.duration_s * 1000:.0f} ms")

    @display(description="Watched since")
    def watched(self, row: TickRun) -> SafeString:
        return moment(row.since)

    @display(description="Runs", ordering="runs")
    def run_count(self, row: TickRun) -> int:
        return row.runs

    @display(description="Failures", ordering="failures")
    def failure_count(self, row: TickRun) -> int:
        return row.failures

    @display(description="Last failed")
    def failed(self, row: TickRun) -> SafeString:
        return moment(row.failed_at, precise=True)

    @display(description="Of what")
    def last_failure(self, row: TickRun) -> str | SafeString:
        return row.error_code or NOTHING
