"""The forms of bodies as the document tells them: answers, and what drf-spectacular can't see in our request fields.

Answers are made by `trading_api.mapping`, not by these serializers: that an answer has the form told here is what the
tests of the document check against the running application.
"""

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerExtension, OpenApiSerializerFieldExtension
from rest_framework import serializers

from trading_api.mapping import Outcome, plant_id_fields, result_code
from trading_api.serializers import (
    POWER_LIMIT_KW,
    NumberField,
    TextField,
    TimeConfigSerializer,
    UpdateSerializer,
    WallClockField,
)

Fields = dict[str, serializers.Field[Any, Any, Any, Any]]
Form = serializers.Serializer[dict[str, Any]]


def _plant_ids() -> Fields:
    return {name: serializers.CharField(help_text="Our id of the plant.") for name in plant_id_fields()}


class IssuedTokenSerializer(Form):
    """The answer of `token`."""

    accessToken = serializers.CharField(help_text="A JWT for `Authorization: Bearer`; take it as opaque.")
    expiresIn = serializers.IntegerField(min_value=1, help_text="Seconds until it expires.")


class PlantSerializer(Form):
    """One item of `list`."""

    name = serializers.CharField()
    description = serializers.CharField(allow_null=True)
    capacityKwh = serializers.FloatField(help_text="Usable battery energy in kWh.")
    fvePeakPowerKwp = serializers.FloatField(allow_null=True, help_text="PV peak power in kWp.")
    plantWithLoad = serializers.BooleanField(help_text="The plant has consumption of its own.")
    configEnabled = serializers.BooleanField(help_text="Voke may use the time configs.")
    esiState = serializers.CharField(allow_blank=True)

    def get_fields(self) -> Fields:
        """The names of the plant id are a setting."""
        return {**_plant_ids(), **super().get_fields()}


class PlantConfigSerializer(Form):
    """The answer of `config`."""

    configEnabled = serializers.BooleanField()
    timeConfigs = serializers.ListField(
        child=TimeConfigSerializer(), help_text="Empty: there is no config yet."
    )

    def get_fields(self) -> Fields:
        """The names of the plant id are a setting."""
        return {**_plant_ids(), **super().get_fields()}


class ProblemDetailSerializer(Form):
    """One thing that is wrong."""

    path = serializers.CharField(
        allow_blank=True, help_text="Field, header or parameter; empty: the whole body."
    )
    code = serializers.CharField(help_text="Stable reason, one of those that the status names.")
    message = serializers.CharField(help_text="For people.")


class UpdateAnswerSerializer(Form):
    """The answer of `config/update` once the request was understood."""

    resultCode = serializers.ChoiceField(choices=[])
    terminal = serializers.BooleanField(help_text="Nothing more will come of this request.")
    message = serializers.CharField(allow_blank=True, help_text="For people.")
    requestId = serializers.UUIDField(help_text="Our id of the request; the same again for a repeated one.")
    details = ProblemDetailSerializer(
        many=True, required=False, help_text="The rules that a rejected one breaks."
    )

    def get_fields(self) -> Fields:
        """The names of the result codes are a setting."""
        names = [result_code(outcome).name for outcome in Outcome]
        return {**super().get_fields(), "resultCode": serializers.ChoiceField(choices=names)}


class _TextForm(OpenApiSerializerFieldExtension):
    target_class = TextField

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        # No NUL: PostgreSQL stores none, so `vcp.decode_object` refuses it.
        form: dict[str, Any] = {"type": "string", "minLength": 1, "pattern": r"^[^\u0000]*$"}
        if self.target.max_length is not None:
            form["maxLength"] = self.target.max_length
        return form


class _WallClockForm(OpenApiSerializerFieldExtension):
    target_class = WallClockField

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        return {
            "type": "string",
            "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$",
            "examples": ["05:59"],
            "description": "Local wall clock of the plant, HH:MM; `to` is the last minute that belongs to the block.",
        }


class _NumberForm(OpenApiSerializerFieldExtension):
    target_class = NumberField

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        return {"type": "number", "minimum": -POWER_LIMIT_KW, "maximum": POWER_LIMIT_KW}


class _UpdateForm(OpenApiSerializerExtension):
    target_class = UpdateSerializer

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        form: dict[str, Any] = auto_schema._map_serializer(self.target, direction, bypass_extensions=True)
        # Two names that agree are taken as well; a form can't say "equal".
        form["oneOf"] = [{"required": [name]} for name in plant_id_fields()]
        return form
