"""The form of what Voke sends: strict types with field paths; whether blocks make sense is the services' question.

JSON types are taken literally: "50" is no number, true is no number, 1 is no text. Members that we don't know are left
alone, as everywhere in this protocol.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeGuard

from rest_framework import serializers

from plants.time_config import MAX_BLOCKS
from trading_api.mapping import parse_wall_clock, plant_id_fields

POWER_LIMIT_KW = 10_000_000.0  # as the plant's own fields
PLANT_REF_MAX = 128
CLIENT_ID_MAX: Final = 120
CLIENT_SECRET_MAX: Final = 512


class TextField(serializers.CharField):
    """A JSON string, taken as it is."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(trim_whitespace=False, **kwargs)

    def to_internal_value(self, data: Any) -> str:
        """Refuses numbers, which DRF would turn into text."""
        if not isinstance(data, str):
            self.fail("invalid")
        return super().to_internal_value(data)


class NumberField(serializers.Field[float, Any, float, Any]):
    """A JSON number."""

    default_error_messages = {
        "invalid": "A JSON number is required.",
        "range": "The number is out of range.",
    }

    def to_internal_value(self, data: Any) -> float:
        """Refuses texts and booleans."""
        if isinstance(data, bool) or not isinstance(data, (int, float)):
            self.fail("invalid")
        if not -POWER_LIMIT_KW <= data <= POWER_LIMIT_KW:
            self.fail("range")
        return float(data)

    def to_representation(self, value: float) -> float:
        """Not used: answers are made by the mapping."""
        return value


class WallClockField(TextField):
    """`HH:MM`."""

    def to_internal_value(self, data: Any) -> str:
        """The text itself; the mapping turns it into minutes."""
        text = super().to_internal_value(data)
        try:
            parse_wall_clock(text)
        except ValueError as error:
            raise serializers.ValidationError(str(error)) from error
        return text


class TimeConfigSerializer(serializers.Serializer[dict[str, Any]]):
    """One block of `timeConfigs`."""

    pBatMin = NumberField()
    pBatMax = NumberField()
    socMin = NumberField()
    socMax = NumberField()

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """`from` is no name that a Python class could give a field."""
        return {"from": WallClockField(), "to": WallClockField(), **super().get_fields()}


class UpdateSerializer(serializers.Serializer[dict[str, Any]]):
    """The body of `config/update`; `plant_ref` of the result is the plant id under whichever name it came."""

    # A list beyond the bound is refused before its items cost anything.
    timeConfigs = serializers.ListField(child=TimeConfigSerializer(), max_length=MAX_BLOCKS)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """The names of the plant id are a setting."""
        ids = {name: TextField(max_length=PLANT_REF_MAX, required=False) for name in plant_id_fields()}
        return {**ids, **super().get_fields()}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        """Exactly one plant, however often it is named."""
        named = {attrs[name] for name in plant_id_fields() if name in attrs}
        if len(named) != 1:
            problem = "This field is required." if not named else "The plant ids contradict each other."
            code = "required" if not named else "invalid"
            raise serializers.ValidationError({plant_id_fields()[0]: [problem]}, code=code)
        return {"plant_ref": named.pop(), "timeConfigs": attrs["timeConfigs"]}


class TokenSerializer(serializers.Serializer[dict[str, Any]]):
    """The body of `token`."""

    clientId = TextField(max_length=CLIENT_ID_MAX)
    clientSecret = TextField(max_length=CLIENT_SECRET_MAX)


def credentials_of(body: Mapping[str, Any]) -> tuple[str, str]:
    """Client id and secret of a token's body; raises ValidationError.

    What is plainly right, as all that we issue is, needs no serializer: building one costs more than the rest.
    """
    client_id, client_secret = body.get("clientId"), body.get("clientSecret")
    if _is_plain(client_id, CLIENT_ID_MAX) and _is_plain(client_secret, CLIENT_SECRET_MAX):
        return client_id, client_secret
    asked = TokenSerializer(data=body)
    asked.is_valid(raise_exception=True)
    return asked.validated_data["clientId"], asked.validated_data["clientSecret"]


def _is_plain(value: object, most: int) -> TypeGuard[str]:
    return isinstance(value, str) and 0 < len(value) <= most and value.isascii() and value.isprintable()
