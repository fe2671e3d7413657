"""Plants: what they are, what they may do, what they last reported. `dispatch.admin` adds commands and registers it."""

from datetime import datetime
from functools import cache
from typing import Any, ClassVar
from zoneinfo import available_timezones

from django import forms
from django.db.models import QuerySet
from django.forms.formsets import BaseFormSet
from django.http import HttpRequest
from django.utils.safestring import SafeString

from esm import clock
from plants.admin.base import RefusableForm, RefusalsInForm, without_secrets
from plants.admin.filters import ConnectionFilter
from plants.admin.looks import mode_chip, switch_chip
from plants.admin.marks import EMPTY, NO_DATA, NOTHING, Family, Look, chip, chips, fresh, moment, stack
from plants.admin.plant_filters import AlarmFilter, DataFilter
from plants.admin.plant_panels import plant_panels
from plants.admin.theme import RelatedDropdownFilter, ThemedTabularInline, display, widgets
from plants.admin.time_config import STALE, BlockFormSet, BlockInline
from plants.errors import Conflict, DomainError
from plants.models import Asset, Connection, Plant, PlantState, TimeConfigBlock, TimeConfigOrigin
from plants.selectors.overview import with_open_alarms
from plants.services.plants import save_assets, save_plant
from plants.services.time_config import Author, set_time_config
from plants.words import Freshness, freshness, grid_text, label_text, local_text, percent_text


@cache
def _zones() -> list[tuple[str, str]]:
    return [(name, name) for name in sorted(available_timezones())]


class PlantForm(RefusableForm):
    """What people decide about a plant; switches and machine-kept columns are not in it."""

    time_zone = forms.ChoiceField(
        choices=_zones,
        initial="Europe/Prague",
        widget=widgets.UnfoldAdminSelect2Widget(),
        help_text="IANA zone of the plant's wall clock.",
    )

    class Meta:
        labels = {
            "external_plant_id": "External id",
            "capacity_kwh": "Battery capacity, kWh",
            "fve_peak_power_kwp": "PV peak, kWp",
            "plant_with_load": "Has its own load",
            "config_enabled": "Time config enabled",
            "max_import_kw": "Import at most, kW",
            "max_export_kw": "Export at most, kW",
            "max_charge_kw": "Charge at most, kW",
            "max_discharge_kw": "Discharge at most, kW",
            "soc_min_pct": "SoC at least, %",
            "soc_max_pct": "SoC at most, %",
            "update_policy": "Config updates from Voke",
            "gaps_allowed": "Blocks may leave gaps",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in ("organisation", "connection"):
            if name in self.fields:
                wrapper = self.fields[name].widget
                wrapper.can_add_related = wrapper.can_change_related = False
                wrapper.can_delete_related = wrapper.can_view_related = False
        if "description" in self.fields:
            self.fields["description"].widget.attrs["rows"] = 2
        if "connection" in self.fields:
            self._offer_connections(self.fields["connection"])

    def _offer_connections(self, field: Any) -> None:
        offered = without_secrets(
            Connection.objects.select_related("organisation").order_by("organisation__name", "name")
        )
        if self.instance.pk:
            offered = offered.filter(organisation_id=self.instance.organisation_id)
        field.queryset = offered
        field.empty_label = "Not connected"
        field.label_from_instance = lambda row: f"{row.organisation.name}: {row.name}"


class AssetForm(forms.ModelForm):
    """One device."""

    class Meta:
        labels = {"asset_type": "Type", "rated_power_kw": "Rated power, kW", "capacity_kwh": "Capacity, kWh"}


class AssetInline(ThemedTabularInline):
    """Devices: what config.topology declares."""

    model = Asset
    form = AssetForm
    fields = ("external_id", "asset_type", "name", "rated_power_kw", "capacity_kwh")
    extra = 0
    max_num = 500
    hide_title = True
    verbose_name_plural = "Assets"


class PlantAdmin(RefusalsInForm):
    """List and form of plants; writes through `save_plant`, `save_assets` and `set_time_config`."""

    form = PlantForm
    inlines = (AssetInline, BlockInline)
    list_display = ("plant", "connected", "now", "mode", "attention")
    list_filter: ClassVar[tuple[Any, ...]] = (
        ("organisation", RelatedDropdownFilter),
        ("connection", ConnectionFilter),
        DataFilter,
        AlarmFilter,
        "dispatch_enabled",
        "update_policy",
    )
    search_fields = ("name", "external_plant_id", "voke_uuid")
    search_help_text = "Name, external id or Voke UUID"
    ordering = ("name", "id")
    readonly_fields = ("dispatch_switch", "config_version", "site_revision", "created", "updated")
    change_form_template = "admin/plants/plant/change_form.html"
    fieldsets = (
        (
            None,
            {
                "fields": (
                    ("organisation", "connection"),
                    ("name", "external_plant_id"),
                    ("voke_uuid", "description"),
                )
            },
        ),
        (
            "Site",
            {
                "fields": (
                    ("time_zone", "esi_state"),
                    ("capacity_kwh", "fve_peak_power_kwp"),
                    ("plant_with_load", "config_enabled"),
                )
            },
        ),
        (
            "Limits",
            {
                "fields": (
                    ("max_import_kw", "max_export_kw"),
                    ("max_charge_kw", "max_discharge_kw"),
                    ("soc_min_pct", "soc_max_pct"),
                ),
                "description": "Empty: no limit known. Voke is sent them as the site's constraints.",
            },
        ),
        ("Behaviour", {"fields": (("base_mode", "update_policy"), "gaps_allowed")}),
        (
            "Scheduling",
            {
                "fields": (
                    ("schedule_carrier", "slot_minutes"),
                    ("setpoint_valid_s", "cancel_policy"),
                    ("fallback_mode", "fallback_after_s"),
                ),
                "description": "What is published keeps its carrier and its slots; a change counts from the next "
                "publication on. Voke is sent mode and time as the site's fallback.",
            },
        ),
    )
    kept_fieldset = (
        "Kept by the platform",
        {"fields": (("dispatch_switch", "config_version"), ("site_revision",), ("created", "updated"))},
    )

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        found = tuple(super().get_fieldsets(request, obj))
        return (*found, self.kept_fieldset) if obj is not None else found

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # A plant that moved to another organisation would take its commands and alarms along.
        return (*self.readonly_fields, "organisation") if obj is not None else self.readonly_fields

    def get_queryset(self, request: HttpRequest) -> "QuerySet[Plant]":
        rows = (
            super().get_queryset(request).select_related("organisation", "connection", "state", "time_config")
        )
        return with_open_alarms(without_secrets(rows, "connection"))

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kwargs: Any) -> Any:
        plant = kwargs.get("obj")
        if plant is not None:
            context["panels"] = self.panels(plant, at=clock.now())
        return super().render_change_form(request, context, *args, **kwargs)

    def panels(self, plant: Plant, *, at: datetime) -> dict[str, Any]:
        """What the page shows around the form."""
        return plant_panels(plant, at=at)

    # --- writing ----------------------------------------------------------------------------------------------

    def save_model(self, request: HttpRequest, obj: Plant, form: Any, change: bool) -> None:
        save_plant(plant=obj, at=clock.now(), changed=form.changed_data if change else None)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        formset.save(commit=False)  # fills the lists of what changed, which the admin's history reads
        if isinstance(formset, BlockFormSet):
            self._save_blocks(request, form.instance, formset)
        else:
            save_assets(
                plant=form.instance,
                changed=[*formset.new_objects, *(row for row, _ in formset.changed_objects)],
                removed=formset.deleted_objects,
                at=clock.now(),
            )

    def _save_blocks(self, request: HttpRequest, plant: Plant, formset: BlockFormSet) -> None:
        if not formset.has_changed():
            return
        # `save_plant` has locked the row and read the version that is in force now.
        if formset.versions() - {plant.time_config_id} or (not formset.versions() and _has_blocks(plant)):
            raise Conflict(STALE, path="timeConfigs", code="VERSION_CHANGED")
        set_time_config(
            plant_id=plant.pk,
            blocks=formset.blocks(),
            origin=TimeConfigOrigin.PERSON,
            author=author_of(request),
            at=clock.now(),
        )

    def tell_formset(self, formset: "BaseFormSet[Any]", problems: tuple[DomainError, ...]) -> None:
        for problem in problems:
            if isinstance(formset, BlockFormSet) and problem.path.startswith("timeConfigs"):
                formset.tell(problem)
            elif not isinstance(formset, BlockFormSet) and problem.path.startswith("assets["):
                _tell_asset(formset, problem)

    # --- list columns -----------------------------------------------------------------------------------------

    @display(description="Plant", ordering="name")
    def plant(self, row: Plant) -> SafeString:
        return stack(row.name, row.external_plant_id)

    @display(description="Connection", ordering="connection__name")
    def connected(self, row: Plant) -> SafeString:
        if row.connection is None:
            return chip(Look(icon="link_off", word="Not connected", family=Family.WAIT))
        return stack(row.connection.name, mode_chip(row.connection))

    @display(description="Now", ordering="state__measured_at")
    def now(self, row: Plant) -> SafeString:
        state = _state(row)
        if state is None or state.measured_at is None:
            return NO_DATA
        at = clock.now()
        if freshness(state.measured_at, at=at) is Freshness.OLD:
            return fresh(state.measured_at, now=at)
        return stack(
            f"{grid_text(state.grid_power_kw)}, SoC {percent_text(state.soc_pct)}",
            fresh(state.measured_at, now=at),
        )

    @display(description="Mode", ordering="state__mode")
    def mode(self, row: Plant) -> SafeString | str:
        state = _state(row)
        return label_text(state.mode) if state is not None and state.mode else NO_DATA

    @display(description="Attention")
    def attention(self, row: Plant) -> SafeString:
        found = self.attention_chips(row)
        return chips(found) if found else EMPTY

    def attention_chips(self, row: Plant) -> list[SafeString]:
        """What of this plant needs a person, worst first."""
        found = []
        number = getattr(row, "open_alarms", 0)
        if number:
            word = "1 alarm" if number == 1 else f"{number} alarms"
            found.append(chip(Look(icon="warning", word=word, family=Family.FAIL)))
        if not row.dispatch_enabled:
            found.append(switch_chip(enabled=False))
        return found

    # --- kept by the platform ---------------------------------------------------------------------------------

    @display(description="Dispatch")
    def dispatch_switch(self, row: Plant) -> SafeString:
        return switch_chip(enabled=row.dispatch_enabled)

    @display(description="Time config")
    def config_version(self, row: Plant) -> SafeString | str:
        return NOTHING if row.time_config is None else f"version {row.time_config.number}"

    @display(description="Created")
    def created(self, row: Plant) -> SafeString:
        return moment(row.created_at, zone=row.time_zone)

    @display(description="Changed")
    def updated(self, row: Plant) -> SafeString:
        return moment(row.updated_at, zone=row.time_zone)


def author_of(request: HttpRequest) -> Author:
    """The signed-in person as the author of a change."""
    user: Any = request.user
    return Author(name=user.get_username(), user=user)


def _state(row: Plant) -> PlantState | None:
    return getattr(row, "state", None)


def _has_blocks(plant: Plant) -> bool:
    return TimeConfigBlock.objects.filter(version_id=plant.time_config_id).exists()


def _tell_asset(formset: Any, problem: DomainError) -> None:
    wanted, _, field = problem.path.removeprefix("assets[").partition("].")
    for form in formset.forms:
        if form.instance.external_id == wanted:
            form.add_error(field if field in form.fields else None, local_text(problem.words))
            return
    formset.non_form_errors().append(local_text(problem.words))
