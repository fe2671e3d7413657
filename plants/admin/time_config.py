"""Time-config blocks in a plant's form: the set in force is edited as a whole and saved as a new version.

Times are the plant's wall clock, `until` is not included, and 24:00 is midnight; the version history writes them the
same way. (Voke is told the last minute that belongs to a block: 23:59.)
"""

import re
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.forms.models import BaseInlineFormSet
from django.http import HttpRequest

from plants.admin.theme import ThemedTabularInline, widgets
from plants.errors import DomainError
from plants.models import TimeConfigBlock
from plants.selectors.overview import current_blocks
from plants.time_config import MAX_BLOCKS, Block, minute_text
from plants.words import local_text

_CLOCK = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)")
_FIELDS = {
    "from": "start",
    "to": "end",
    "pBatMin": "p_bat_min_kw",
    "pBatMax": "p_bat_max_kw",
    "socMin": "soc_min_pct",
    "socMax": "soc_max_pct",
}
_PATH = re.compile(r"timeConfigs\[(\d+)\]\.(\w+)")
STALE = (
    "The blocks were changed by somebody else while this page was open; nothing was saved. "
    "Open the plant again, then repeat your change."
)


def parse_clock(text: str) -> int:
    """The minute of the day that `HH:MM` names, 24:00 = 1440; raises ValidationError."""
    found = _CLOCK.fullmatch(text.strip())
    minute = int(found[1]) * 60 + int(found[2]) if found else -1
    if not 0 <= minute <= 1440:
        raise forms.ValidationError("Write a time as HH:MM, from 00:00 to 24:00.")
    return minute


class ClockField(forms.CharField):
    """A time of day as minutes, written HH:MM."""

    def __init__(self, **kwargs: Any) -> None:
        attrs = {
            "class": " ".join([*widgets.BASE_INPUT_CLASSES, "clock"]),
            "placeholder": "HH:MM",
            "inputmode": "numeric",
            "autocomplete": "off",
            "size": "5",
        }
        super().__init__(max_length=5, widget=forms.TextInput(attrs=attrs), **kwargs)

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        return parse_clock(text) if text else None

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(initial, (data or "").strip())


class BlockForm(forms.ModelForm):
    """One row; the rules of a set are the service's alone."""

    start = ClockField(label="From")
    end = ClockField(label="Until")

    class Meta:
        model = TimeConfigBlock
        fields = ("p_bat_min_kw", "p_bat_max_kw", "soc_min_pct", "soc_max_pct")
        labels = {
            "p_bat_min_kw": "Battery from, kW",
            "p_bat_max_kw": "Battery to, kW",
            "soc_min_pct": "SoC from, %",
            "soc_max_pct": "SoC to, %",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.pk:
            self.initial["start"] = minute_text(self.instance.start_minute)
            self.initial["end"] = minute_text(self.instance.end_minute)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        # Only for the admin's history of changes, which writes each row by its name.
        self.instance.start_minute = cleaned.get("start") or 0
        self.instance.end_minute = cleaned.get("end") or 0
        return cleaned

    def validate_unique(self) -> None:
        """Blocks are never saved over each other: each save is a new version."""

    def validate_constraints(self) -> None:
        """The service checks the set as a whole and names the field; the database's own check would not."""

    def block(self) -> Block:
        """The row as the domain sees it; call when the form is valid."""
        return Block(
            start_minute=self.cleaned_data["start"],
            end_minute=self.cleaned_data["end"],
            p_bat_min_kw=self.cleaned_data["p_bat_min_kw"],
            p_bat_max_kw=self.cleaned_data["p_bat_max_kw"],
            soc_min_pct=self.cleaned_data["soc_min_pct"],
            soc_max_pct=self.cleaned_data["soc_max_pct"],
        )


class BlockFormSet(BaseInlineFormSet):
    """All rows together: what the plant's blocks shall be from now on."""

    def clean(self) -> None:
        super().clean()
        if self.has_changed() and self._is_stale():
            raise forms.ValidationError(STALE, code="stale")

    def _is_stale(self) -> bool:
        posted = {self.data.get(form.add_prefix("id"), "") for form in self.initial_forms}
        return posted != {str(row.pk) for row in self.get_queryset()}

    def validate_unique(self) -> None:
        """See BlockForm.validate_unique."""

    @property
    def kept(self) -> list[BlockForm]:
        """The rows that are not deleted and not left empty, in their order on the page."""
        gone = set(self.deleted_forms)
        forms_here: list[Any] = [form for form in self.forms if form not in gone]
        return [form for form in forms_here if form.instance.pk is not None or form.has_changed()]

    def blocks(self) -> list[Block]:
        """The whole set; call when the formset is valid."""
        return [form.block() for form in self.kept]

    def versions(self) -> set[int]:
        """The version that the page was made from (none when there were no blocks)."""
        return {row.version_id for row in self.get_queryset()}

    def tell(self, problem: DomainError) -> None:
        """Put a problem with a path `timeConfigs[i].field` at its row."""
        found = _PATH.fullmatch(problem.path)
        kept = self.kept
        if found and int(found[1]) < len(kept) and found[2] in _FIELDS:
            kept[int(found[1])].add_error(_FIELDS[found[2]], local_text(problem.words))
        else:
            self.non_form_errors().append(local_text(problem.words))


class BlockInline(ThemedTabularInline):
    """The blocks in force."""

    model = TimeConfigBlock
    form = BlockForm
    formset = BlockFormSet
    fields = ("start", "end", "p_bat_min_kw", "p_bat_max_kw", "soc_min_pct", "soc_max_pct")
    fk_name = "plant"
    extra = 0
    max_num = MAX_BLOCKS
    hide_title = True
    verbose_name = "time-config block"
    verbose_name_plural = "Time-config blocks (plant's wall clock; + kW = charging; “until” is not included)"

    def get_queryset(self, request: HttpRequest) -> "QuerySet[TimeConfigBlock]":
        return current_blocks(super().get_queryset(request)).order_by("start_minute")
