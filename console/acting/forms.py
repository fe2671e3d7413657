"""The command box as forms: each reads what was typed and says what it asks for; rules are the services' business.

Times are typed on the plant's wall clock: the view sets that zone while a form is read. The review fixes start and end
(`fixed_from`, `fixed_until`), so that what is sent is what was shown, however long it is read.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from django import forms
from django.utils.translation import gettext_lazy as _

from console.acting.asked import Asked, Route, route_of_setpoint
from console.acting.situation import Situation
from dispatch.models import Kind
from dispatch.requests import FAMILY, CommandPayload
from plants.models import Asset
from plants.words import label_text
from vcp import (
    AssetType,
    DeviceCommandType,
    Direction,
    OperatingMode,
    Priority,
    SetpointType,
    format_timestamp,
    parse_payload,
)

AT_A_TIME, NO_END = "at", "none"
MOST_ASSETS: Final = 100
_LENGTHS = [("15", _("15 min")), ("30", _("30 min")), ("60", _("1 h"))]
_SET = (AT_A_TIME, _("Set"))
_OPEN_END = (NO_END, _("No end"))
_KEY = re.compile(r"[0-9a-f-]{36}")
FITTING: Final[Mapping[str, str]] = {
    AssetType.BESS.value: "BESS_",
    AssetType.FVE.value: "FVE_",
    AssetType.INVERTER.value: "FVE_",
}
"""Types of assets that take commands, and how their commands begin."""
NEEDS_POWER: Final = frozenset({"BESS_CHARGE", "BESS_DISCHARGE", "FVE_REDUCE_POWER"})
TAKES_POWER: Final = NEEDS_POWER | {"BESS_CHARGE_ONLY", "BESS_DISCHARGE_ONLY", "BESS_CONTINUOUS_CHARGE"}
TAKES_PERCENT: Final = frozenset({"FVE_REDUCE_PERCENT"})
HAS_NO_END: Final = frozenset({"BESS_STOP", "FVE_PRODUCE_MAX"})


class AmountField(forms.FloatField):
    """A number, with a decimal comma or point."""

    default_error_messages = {
        "required": _("Enter a number."),
        "min_value": _("Write a number from 0 up; the direction stands above."),
    }

    def to_python(self, value: Any) -> Any:
        text = (
            value.strip().replace("\u202f", "").replace(" ", "").replace(",", ".")
            if isinstance(value, str)
            else value
        )
        return super().to_python(text)


class BoxForm(forms.Form):
    """What every tab has: an end, a reason, and what the review fixes."""

    tab: str
    kind: Kind
    TAKES_REASON = False
    """Whether the reason belongs to what is told to Voke, and is asked for in the box."""
    PATHS: Mapping[str, str] = {}

    until = forms.ChoiceField(choices=[*_LENGTHS, _SET], initial="30")
    until_at = forms.DateTimeField(required=False)
    reason = forms.CharField(required=False, max_length=500)
    fixed_from = forms.DateTimeField(required=False)
    fixed_until = forms.DateTimeField(required=False)
    key = forms.CharField(required=False, max_length=36)
    seen = forms.CharField(required=False, max_length=64)

    def __init__(self, *args: Any, situation: Situation, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.situation = situation
        local = (situation.at + timedelta(hours=2)).astimezone(ZoneInfo(situation.zone))
        self.fields["until_at"].initial = f"{local.replace(minute=0):%Y-%m-%dT%H:%M}"

    def clean_key(self) -> str:
        key: str = self.cleaned_data["key"]
        if key and not _KEY.fullmatch(key):
            raise forms.ValidationError(_("This form was changed on its way. Open it again."), code="BAD_KEY")
        return key

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("until") == AT_A_TIME and "until_at" in cleaned and cleaned["until_at"] is None:
            self.add_error("until_at", forms.ValidationError(_("Write until when."), code="END_REQUIRED"))
        return cleaned

    @property
    def starts_at(self) -> datetime:
        """From when on; call when the form is valid."""
        fixed: datetime | None = self.cleaned_data["fixed_from"]
        return fixed or self.situation.at

    @property
    def ends_at(self) -> datetime | None:
        """Until when; None = it has no end. Call when the form is valid."""
        fixed: datetime | None = self.cleaned_data["fixed_until"]
        chosen: str = self.cleaned_data["until"]
        if chosen == NO_END:
            return None
        if fixed is not None:
            return fixed
        if chosen == AT_A_TIME:
            written: datetime = self.cleaned_data["until_at"]
            return written
        return self.situation.at + timedelta(minutes=int(chosen))

    def wire(self) -> dict[str, Any]:
        """The payload in wire names."""
        raise NotImplementedError

    def payload(self) -> CommandPayload:
        """The payload as the protocol reads it; raises vcp.ProtocolError."""
        parsed: Any = parse_payload(FAMILY[self.kind], self.wire())
        asked: CommandPayload = parsed
        return asked

    def route(self) -> Route:
        """How it goes out."""
        raise NotImplementedError

    def asked(self) -> Asked:
        """What the valid form asks for; raises vcp.ProtocolError."""
        return Asked(
            route=self.route(),
            payload=self.payload(),
            until_at=self.ends_at,
            reason=self.cleaned_data["reason"].strip(),
            key=self.cleaned_data["key"] or None,
        )

    def field_of(self, path: str) -> str | None:
        """The field that a path of a refusal is about; None = the form as a whole."""
        if path in ("until", "stopAt", "payload.validUntil", "validUntil"):
            return "until_at" if self.cleaned_data.get("until") == AT_A_TIME else "until"
        if path in ("reason", "payload.reason"):
            return "reason"
        return self.PATHS.get(path)


class SetpointForm(BoxForm):
    """A target of the whole site."""

    tab, kind = "setpoint", Kind.SITE_SETPOINT
    direction = forms.ChoiceField(choices=[(one.value, one.value) for one in Direction], initial="EXPORT")
    amount = AmountField(min_value=0)
    target = forms.ChoiceField(
        choices=[("POWER", _("Power")), ("ENERGY", _("Energy over an interval"))],
        initial="POWER",
        required=False,
    )
    interval_minutes = forms.IntegerField(required=False, min_value=1, max_value=1440, initial=15)
    consumption = forms.BooleanField(required=False, initial=True)
    priority = forms.ChoiceField(
        choices=[("NORMAL", _("Normal")), ("HIGH", _("High: goes before a schedule at Voke"))],
        initial="NORMAL",
        required=False,
    )
    PATHS = {
        "payload.targetValueKw": "amount",
        "targetValueKw": "amount",
        "payload.targetValueKwh": "amount",
        "targetValueKwh": "amount",
        "payload.intervalMinutes": "interval_minutes",
        "intervalMinutes": "interval_minutes",
        "payload.direction": "direction",
        "payload.priority": "priority",
    }

    def wire(self) -> dict[str, Any]:
        asked = self.cleaned_data
        is_energy = asked["target"] == SetpointType.ENERGY
        end = self.ends_at
        wire = {
            "type": SetpointType.ENERGY.value if is_energy else SetpointType.POWER.value,
            "direction": asked["direction"],
            "targetValueKw": None if is_energy else asked["amount"],
            "targetValueKwh": asked["amount"] if is_energy else None,
            "intervalMinutes": asked["interval_minutes"] if is_energy else None,
            "includeConsumption": asked["consumption"],
            "priority": Priority.HIGH.value
            if self.route() is Route.OVERRIDE
            else asked["priority"] or "NORMAL",
            "validFrom": format_timestamp(self.starts_at),
            "validUntil": end and format_timestamp(end),
        }
        return {name: value for name, value in wire.items() if value is not None}

    def route(self) -> Route:
        end = self.ends_at
        return Route.SETPOINT if end is None else route_of_setpoint(self.situation, end)


class DeviceForm(BoxForm):
    """An order to one device, with or without an end."""

    tab, kind = "device", Kind.DEVICE
    until = forms.ChoiceField(choices=[*_LENGTHS, _SET, _OPEN_END], initial="30")
    asset = forms.ChoiceField()
    action = forms.ChoiceField(choices=[(one.value, one.value) for one in DeviceCommandType])
    amount = AmountField(
        required=False, min_value=0, error_messages={"min_value": _("Write a number from 0 up.")}
    )
    respect_limits = forms.BooleanField(required=False, initial=True)
    PATHS = {
        "payload.commands[0].deviceId": "asset",
        "payload.commands[0].assetType": "action",
        "payload.commands[0].command": "action",
        "payload.commands[0].params.powerKw": "amount",
        "payload.commands[0].params.percent": "amount",
        "payload.commands": "amount",
        "commands[0].params.percent": "amount",
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        found = Asset.objects.filter(plant=self.situation.plant, asset_type__in=FITTING).order_by(
            "external_id"
        )
        self.assets = list(found[:MOST_ASSETS])
        field: Any = self.fields["asset"]
        field.choices = [(one.external_id, one.external_id) for one in self.assets]
        if self.assets:
            first = self.initial.setdefault("asset", self.assets[0].external_id)
            fitting = FITTING[
                next((one.asset_type for one in self.assets if one.external_id == first), "BESS")
            ]
            self.initial.setdefault("action", "BESS_CHARGE" if fitting == "BESS_" else "FVE_REDUCE_POWER")

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean()
        needs = cleaned.get("action") in NEEDS_POWER | TAKES_PERCENT
        if needs and "amount" in cleaned and cleaned["amount"] is None:
            self.add_error("amount", forms.ValidationError(_("Enter a number."), code="INVALID_COMMAND"))
        return cleaned

    @property
    def chosen(self) -> Asset:
        """The asset that is meant; call when the form is valid."""
        return next(one for one in self.assets if one.external_id == self.cleaned_data["asset"])

    @property
    def ends_at(self) -> datetime | None:
        return None if self.cleaned_data["action"] in HAS_NO_END else super().ends_at

    def asset_rows(self) -> list[dict[str, Any]]:
        """What the list of devices shows: each with the commands that fit it, by how they begin."""
        return [
            {
                "id": one.external_id,
                "label": f"{one.name} · {one.external_id}"
                if one.name
                else f"{one.external_id} · {one.asset_type}",
                "fits": FITTING[one.asset_type],
                "rated": one.rated_power_kw,
            }
            for one in self.assets
        ]

    def action_rows(self) -> list[dict[str, Any]]:
        """Every command, for the list that the device narrows: what number it takes, whether it can have an end."""
        return [
            {
                "value": one.value,
                "word": label_text(one.value.partition("_")[2]),
                "fits": f"{one.value.partition('_')[0]}_",
                "amount": "kW" if one in TAKES_POWER else "%" if one in TAKES_PERCENT else "",
                "ends": one not in HAS_NO_END,
            }
            for one in DeviceCommandType
        ]

    def wire(self) -> dict[str, Any]:
        asked, asset = self.cleaned_data, self.chosen
        action: str = asked["action"]
        params = {
            "powerKw": asked["amount"] if action in TAKES_POWER else None,
            "percent": asked["amount"] if action in TAKES_PERCENT else None,
            "respectLimits": asked["respect_limits"] if action in TAKES_POWER | TAKES_PERCENT else None,
        }
        kept = {name: value for name, value in params.items() if value is not None}
        device = {"deviceId": asset.external_id, "assetType": asset.asset_type, "command": action}
        return {"commands": [device | ({"params": kept} if kept else {})]}

    def route(self) -> Route:
        return Route.DEVICE if self.ends_at is None else Route.TIMED


def _modes() -> list[tuple[str, str]]:
    """Asked for each form: in the language of its page."""
    return [(one.value, label_text(one.value)) for one in OperatingMode]


class ModeForm(BoxForm):
    """The site's operating mode."""

    tab, kind = "mode", Kind.MODE
    TAKES_REASON = True
    until = forms.ChoiceField(choices=[_OPEN_END, ("60", _("1 h")), ("240", _("4 h")), _SET], initial=NO_END)
    mode = forms.ChoiceField(choices=_modes)
    PATHS = {"payload.mode": "mode", "mode": "mode"}

    def mode_now(self) -> str:
        """The mode that Voke told last."""
        state = self.situation.state
        return "" if state is None else label_text(state.mode).lower()

    def wire(self) -> dict[str, Any]:
        asked, end = self.cleaned_data, self.ends_at
        wire = {
            "mode": asked["mode"],
            "reason": asked["reason"].strip() or None,
            "validUntil": end and format_timestamp(end),
        }
        return {name: value for name, value in wire.items() if value is not None}

    def route(self) -> Route:
        return Route.MODE


TABS: Final[Mapping[str, type[BoxForm]]] = {one.tab: one for one in (SetpointForm, DeviceForm, ModeForm)}


class ReasonForm(forms.Form):
    """Why; `seen`: the row that the person looked at, so that nothing newer is ended by an old page."""

    reason = forms.CharField(max_length=500)
    seen = forms.IntegerField()


class EmergencyForm(forms.Form):
    """STOP or HOLD of one plant."""

    type = forms.ChoiceField(choices=[("STOP", "STOP"), ("HOLD", "HOLD")], initial="STOP")
    reason = forms.CharField(max_length=500)
    key = forms.RegexField(_KEY, max_length=36)


class ExtendForm(forms.Form):
    """Until when an override shall last now."""

    until = forms.ChoiceField(
        choices=[("15", _("+ 15 min")), ("30", _("+ 30 min")), ("60", _("+ 1 h")), _SET], initial="30"
    )
    until_at = forms.DateTimeField(required=False)
    reason = forms.CharField(max_length=500)
    key = forms.RegexField(_KEY, max_length=36)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if cleaned.get("until") == AT_A_TIME and "until_at" in cleaned and cleaned["until_at"] is None:
            self.add_error("until_at", forms.ValidationError(_("Write until when."), code="END_REQUIRED"))
        return cleaned

    def until_from(self, end: datetime) -> datetime:
        """The new end, counted from the one that it has; call when the form is valid."""
        chosen: str = self.cleaned_data["until"]
        if chosen == AT_A_TIME:
            written: datetime = self.cleaned_data["until_at"]
            return written
        return end + timedelta(minutes=int(chosen))
