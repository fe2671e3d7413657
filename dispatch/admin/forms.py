"""Forms that ask a plant for something. Each builds the wire's payload; the protocol and the services are the check.

Times are typed on the plant's wall clock: the view sets that zone while a form is read.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from django import forms

from dispatch.models import Kind
from dispatch.requests import FAMILY, CommandPayload, CommandRequest
from plants.admin.pages import PageForm
from plants.admin.theme import local_time_input, style_form
from plants.models import Asset, Plant
from plants.words import age_text, label_text, limit_text
from vcp import (
    AssetType,
    DeviceCommandType,
    Direction,
    EmergencyType,
    OperatingMode,
    Priority,
    SetpointType,
    format_timestamp,
    parse_payload,
)

Choices = list[tuple[str, str]]
_PRIORITIES: Choices = [
    (Priority.NORMAL.value, "Normal: follows the schedule"),
    (Priority.HIGH.value, "High: goes before the schedule"),
    (Priority.EMERGENCY.value, "Emergency: passes by all scheduling"),
]
_FITTING: Mapping[str, str] = {
    AssetType.BESS.value: "BESS_",
    AssetType.FVE.value: "FVE_",
    AssetType.INVERTER.value: "FVE_",
}
_DEVICE_PATH = re.compile(r"payload\.commands\[(\d+)\]\.(?:params\.)?(\w+)")
_DEVICE_FIELDS = {
    "powerKw": "power_kw",
    "percent": "percent",
    "command": "command",
    "respectLimits": "respect_limits",
}


def time_field(**kwargs: Any) -> forms.DateTimeField:
    """An optional instant, typed in the plant's zone."""
    return forms.DateTimeField(required=False, widget=local_time_input(), **kwargs)


def _length_text(seconds: int) -> str:
    """A length of time without rounding."""
    return f"{seconds}\u202fs" if seconds % 60 else age_text(timedelta(seconds=seconds))


class ReasonForm(PageForm):
    """Why."""

    reason = forms.CharField(
        max_length=500, widget=forms.Textarea(attrs={"rows": 3}), help_text="Kept with the command."
    )


class CommandForm(PageForm):
    """What every command is asked with; a kind adds its own fields in front."""

    kind: Kind
    due_at = time_field(label="Send at", help_text="Empty: now.")
    reason = forms.CharField(required=False, max_length=500, help_text="Kept with the command.")
    batch_ref = forms.CharField(
        required=False, max_length=128, label="Batch", help_text="Groups commands here; Voke is not told."
    )
    idempotency_key = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)
    SHARED: tuple[str, ...] = ("due_at", "reason", "batch_ref")
    PATHS: Mapping[str, str] = {"dueAt": "due_at", "payload.reason": "reason"}

    def __init__(self, *args: Any, plant: Plant, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.plant = plant

    def wire(self) -> dict[str, Any]:
        """The payload in wire names; call when the form is valid."""
        raise NotImplementedError

    def command_request(self) -> CommandRequest:
        """The request as the domain takes it; raises vcp.ProtocolError."""
        payload: Any = parse_payload(FAMILY[self.kind], self.wire())
        asked: CommandPayload = payload
        return CommandRequest(
            external_plant_id=self.plant.external_plant_id,
            payload=asked,
            due_at=self.cleaned_data["due_at"],
            reason=self.cleaned_data["reason"],
            batch_ref=self.cleaned_data["batch_ref"],
            idempotency_key=self.cleaned_data["idempotency_key"] or None,
        )

    def own_fields(self) -> Sequence[forms.BoundField]:
        """The kind's fields."""
        return [self[name] for name in self.fields if name not in self.SHARED and name != "idempotency_key"]

    def shared_fields(self) -> Sequence[forms.BoundField]:
        """When, why, grouped how."""
        return [self[name] for name in self.SHARED]


class SetpointForm(CommandForm):
    """A target for the whole site."""

    kind = Kind.SITE_SETPOINT
    direction = forms.ChoiceField(choices=[(one.value, label_text(one.value)) for one in Direction])
    type = forms.ChoiceField(
        label="Target is",
        choices=[(SetpointType.POWER.value, "Power"), (SetpointType.ENERGY.value, "Energy over an interval")],
    )
    target_value_kw = forms.FloatField(required=False, min_value=0, label="Power, kW")
    target_value_kwh = forms.FloatField(
        required=False, min_value=0, label="Energy, kWh", help_text="Only for a target of energy."
    )
    interval_minutes = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=1440,
        label="Interval, min",
        help_text="Only for a target of energy.",
    )
    priority = forms.ChoiceField(choices=_PRIORITIES)
    include_consumption = forms.BooleanField(
        required=False,
        initial=True,
        label="Include consumption",
        help_text="The target is meant at the grid connection, local consumption included.",
    )
    valid_from = time_field(label="Valid from", help_text="Empty: from now on.")
    valid_until = time_field(label="Valid until")
    PATHS = {
        **CommandForm.PATHS,
        "payload.type": "type",
        "payload.direction": "direction",
        "payload.targetValueKw": "target_value_kw",
        "payload.targetValueKwh": "target_value_kwh",
        "payload.intervalMinutes": "interval_minutes",
        "payload.priority": "priority",
        "payload.validFrom": "valid_from",
        "payload.validUntil": "valid_until",
    }
    field_order = (
        "direction", "type", "target_value_kw", "target_value_kwh", "interval_minutes", "priority", "valid_from",
        "valid_until", "include_consumption",
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        plant = self.plant
        for name in ("target_value_kw", "target_value_kwh", "interval_minutes"):
            field: Any = self.fields[name]
            field.conditional = True  # so the page does not call it optional
        limits = f"import {limit_text(plant.max_import_kw)}, export {limit_text(plant.max_export_kw)}"
        self.fields["target_value_kw"].help_text = f"Limits of the site: {limits}."
        self.fields["valid_until"].help_text = (
            f"Empty: {_length_text(plant.setpoint_valid_s)} after it begins, as the plant is set; "
            "a target of energy at least for its interval."
        )

    def wire(self) -> dict[str, Any]:
        asked = self.cleaned_data
        is_energy = asked["type"] == SetpointType.ENERGY
        wire = {
            "type": asked["type"],
            "direction": asked["direction"],
            "targetValueKw": None if is_energy else asked["target_value_kw"],
            "targetValueKwh": asked["target_value_kwh"] if is_energy else None,
            "intervalMinutes": asked["interval_minutes"] if is_energy else None,
            "includeConsumption": asked["include_consumption"],
            "priority": asked["priority"],
            "validFrom": asked["valid_from"] and format_timestamp(asked["valid_from"]),
            "validUntil": asked["valid_until"] and format_timestamp(asked["valid_until"]),
        }
        return {name: value for name, value in wire.items() if value is not None}


class ModeCommandForm(CommandForm):
    """The site's operating mode."""

    kind = Kind.MODE
    mode = forms.ChoiceField(choices=[(one.value, label_text(one.value)) for one in OperatingMode])
    valid_until = time_field(label="Valid until", help_text="Empty: until it is changed.")
    PATHS = {**CommandForm.PATHS, "payload.mode": "mode", "payload.validUntil": "valid_until"}
    field_order = ("mode", "valid_until")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"].help_text = "Kept with the command, and told to Voke."

    def wire(self) -> dict[str, Any]:
        asked = self.cleaned_data
        wire = {
            "mode": asked["mode"],
            "reason": asked["reason"] or None,
            "validUntil": asked["valid_until"] and format_timestamp(asked["valid_until"]),
        }
        return {name: value for name, value in wire.items() if value is not None}


class DeviceForm(CommandForm):
    """One row per asset that takes commands; the rows that are filled in go out as one batch."""

    kind = Kind.DEVICE
    SHOWN_ASSETS = 100
    stop_at = time_field(
        label="Stop at", help_text="A second command ends it then. Empty: it runs until another command."
    )
    duration_min = forms.IntegerField(
        required=False,
        min_value=1,
        max_value=7 * 24 * 60,
        label="Or stop after, min",
        help_text="Counted from its start, instead of a time.",
    )
    SHARED = ("due_at", "stop_at", "duration_min", "reason", "batch_ref")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        found = Asset.objects.filter(plant=self.plant, asset_type__in=_FITTING).order_by("external_id")
        self.assets = list(found[: self.SHOWN_ASSETS])
        for asset in self.assets:
            self._add_row(asset)
        style_form(self)

    def _add_row(self, asset: Asset) -> None:
        fitting = [one for one in DeviceCommandType if one.value.startswith(_FITTING[asset.asset_type])]
        choices = [
            ("", "Leave alone"),
            *((one.value, label_text(one.value.partition("_")[2])) for one in fitting),
        ]
        label = f"{asset.external_id}"
        self.fields[self.row_name(asset, "command")] = forms.ChoiceField(
            required=False, choices=choices, label=f"{label} command"
        )
        self.fields[self.row_name(asset, "power_kw")] = forms.FloatField(
            required=False, min_value=0, label=f"{label} kW"
        )
        self.fields[self.row_name(asset, "percent")] = forms.FloatField(
            required=False, min_value=0, max_value=100, label=f"{label} percent"
        )
        self.fields[self.row_name(asset, "respect_limits")] = forms.BooleanField(
            required=False, initial=True, label=f"{label} respects limits"
        )

    @staticmethod
    def row_name(asset: Asset, field: str) -> str:
        """The form field of one asset's column."""
        return f"{asset.external_id}:{field}"

    def rows(self) -> list[tuple[Asset, list[forms.BoundField]]]:
        """Each asset with its four fields."""
        columns = ("command", "power_kw", "percent", "respect_limits")
        return [(asset, [self[self.row_name(asset, column)] for column in columns]) for asset in self.assets]

    def chosen(self) -> list[Asset]:
        """The assets that a command was chosen for, in the order of the batch."""
        return [asset for asset in self.assets if self.cleaned_data.get(self.row_name(asset, "command"))]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        for asset in self.assets:
            filled = (
                cleaned.get(self.row_name(asset, "power_kw")) is not None
                or cleaned.get(self.row_name(asset, "percent")) is not None
            )
            if filled and not cleaned.get(self.row_name(asset, "command")):
                self.add_error(self.row_name(asset, "command"), "Choose a command, or clear the number.")
        if cleaned.get("stop_at") and cleaned.get("duration_min"):
            self.add_error("duration_min", "Give a time or a duration, not both.")
        if not self.errors and not self.chosen():
            raise forms.ValidationError("Choose a command for at least one device.")
        return cleaned

    def end(self) -> tuple[datetime | None, timedelta | None] | None:
        """When its stop is asked for, as (instant, duration after the start); None = no stop of its own."""
        stop_at, minutes = self.cleaned_data["stop_at"], self.cleaned_data["duration_min"]
        if stop_at is None and minutes is None:
            return None
        return stop_at, None if minutes is None else timedelta(minutes=minutes)

    def wire(self) -> dict[str, Any]:
        return {"commands": [self._device(asset) for asset in self.chosen()]}

    def _device(self, asset: Asset) -> dict[str, Any]:
        asked = {
            column: self.cleaned_data[self.row_name(asset, column)] for column in _DEVICE_FIELDS.values()
        }
        params = {
            "powerKw": asked["power_kw"],
            "percent": asked["percent"],
            "respectLimits": asked["respect_limits"],
        }
        return {
            "deviceId": asset.external_id,
            "assetType": asset.asset_type,
            "command": asked["command"],
            "params": {name: value for name, value in params.items() if value is not None},
        }

    def field_of(self, path: str) -> str | None:
        found = _DEVICE_PATH.fullmatch(path)
        chosen = self.chosen()
        if found and int(found[1]) < len(chosen):
            return self.row_name(chosen[int(found[1])], _DEVICE_FIELDS.get(found[2], "command"))
        if path == "stopAt":
            return "stop_at" if self.cleaned_data["stop_at"] else "duration_min"
        return super().field_of(path)

    def own_fields(self) -> Sequence[forms.BoundField]:
        return [field for _, fields in self.rows() for field in fields]


class EmergencyForm(PageForm):
    """STOP or HOLD, and for many plants their number as a second thought."""

    type = forms.ChoiceField(
        widget=forms.RadioSelect,
        choices=[
            (EmergencyType.STOP.value, "Stop: end every power flow"),
            (EmergencyType.HOLD.value, "Hold: keep the present state"),
        ],
        initial=EmergencyType.STOP.value,
    )
    reason = forms.CharField(
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Kept with the command, and told to Voke.",
    )
    number = forms.IntegerField(required=False, label="Number of plants")
    key = forms.CharField(max_length=36, widget=forms.HiddenInput)
    PATHS = {"payload.reason": "reason", "payload.type": "type"}

    def __init__(self, *args: Any, plants: int, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.plants = plants
        if plants == 1:
            del self.fields["number"]
        else:
            self.fields["number"].required = True
            self.fields["number"].help_text = f"Type {plants} to confirm that all of them are meant."

    def clean_number(self) -> int:
        number = self.cleaned_data["number"]
        if number != self.plants:
            raise forms.ValidationError(f"{self.plants} plants are named above.")
        return int(number)


COMMAND_FORMS: Mapping[str, type[CommandForm]] = {
    Kind.SITE_SETPOINT.value: SetpointForm,
    Kind.DEVICE.value: DeviceForm,
    Kind.MODE.value: ModeCommandForm,
}
