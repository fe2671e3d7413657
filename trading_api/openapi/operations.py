"""What each operation takes and answers, as annotations for the views: every status, every error code, examples.

The views parse and serialise by hand; nothing here runs while a request is served.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from django.conf import settings
from drf_spectacular.utils import (
    OpenApiExample,
    OpenApiParameter,
    OpenApiResponse,
    extend_schema,
    inline_serializer,
)

from trading_api import mapping
from trading_api.openapi.forms import (
    IssuedTokenSerializer,
    PlantConfigSerializer,
    PlantSerializer,
    UpdateAnswerSerializer,
)
from trading_api.paging import MAX_LIMIT, MAX_PAGE
from trading_api.serializers import TokenSerializer, UpdateSerializer

JSON: Final = "application/json"
PROBLEM: Final = "Problem"  # this and the scheme are components that `document` adds
SCHEME: Final = "token"
_BY_TOKEN: Final[Any] = [{SCHEME: []}]
_Method = TypeVar("_Method", bound=Callable[..., Any])
_Responses = dict[tuple[int, str] | int, Any]
_BODY_REASONS: Final = "MALFORMED_JSON, NOT_AN_OBJECT, TOO_DEEP, DUPLICATE_KEY, INVALID_NUMBER, INVALID_TEXT"
_FIELD_REASONS: Final = "REQUIRED, INVALID, NULL, BLANK, MAX_LENGTH, RANGE, NOT_A_LIST"
_REFUSED: Final = "TOKEN_MISSING, TOKEN_INVALID, TOKEN_EXPIRED, TOKEN_REVOKED"

# Any endpoint may answer these: `code` of the envelope and when.
_ANYWHERE: Final[Mapping[int, tuple[Sequence[str], str]]] = {
    405: (("METHOD_NOT_ALLOWED",), "Another method; header Allow names those there are."),
    408: (("REQUEST_TIMEOUT",), "The body did not arrive in time; the connection is closed."),
    413: (
        ("PAYLOAD_TOO_LARGE",),
        "The body is larger than this installation takes (1 MiB unless set otherwise).",
    ),
    500: (("INTERNAL_SERVER_ERROR",), "Our fault; the request id finds it in our log."),
    503: (
        ("SERVICE_UNAVAILABLE",),
        "Overloaded, or the database does not answer; header Retry-After in seconds.",
    ),
}
_BAD_TOKEN: Final = (("UNAUTHORIZED",), f"No valid token. details[].code: {_REFUSED}.")


def problem(status: int, codes: Sequence[str], description: str) -> OpenApiResponse:
    """An error envelope with one of these codes."""
    narrowed = {"properties": {"statusCode": {"const": status}, "code": {"enum": list(codes)}}}
    schema: Any = {"allOf": [{"$ref": f"#/components/schemas/{PROBLEM}"}, narrowed]}
    return OpenApiResponse(response=schema, description=description)


def _responses(good: Mapping[int, Any], bad: Mapping[int, tuple[Sequence[str], str]]) -> _Responses:
    found: _Responses = {
        (status, JSON) if status == 200 else status: answer for status, answer in good.items()
    }
    for status, (codes, description) in sorted({**bad, **_ANYWHERE}.items()):
        found[status, JSON] = problem(status, codes, description)
    return found


def _header(
    name: str, description: str, *, on: Sequence[int] | None = None, form: Any = str
) -> OpenApiParameter:
    return OpenApiParameter(
        name,
        form,
        OpenApiParameter.HEADER,
        description=description,
        response=True if on is None else list(on),
    )


_ETAG: Final = _header("ETag", "Strong; changes with whatever the answer shows.", on=(200, 304))
_ON_ALL: Final = (
    _header("X-Request-Id", "Finds this request in our log and journal."),
    _header("Retry-After", "Seconds.", on=(429, 503), form=int),
    _header("WWW-Authenticate", "RFC 6750.", on=(401,)),
    _header("Allow", "The methods there are.", on=(405,)),
)
_IF_NONE_MATCH: Final = OpenApiParameter(
    "If-None-Match",
    str,
    OpenApiParameter.HEADER,
    description="An ETag given before: 304 without a body while nothing has changed.",
)


def token_operation() -> Callable[[_Method], _Method]:
    """`POST token`."""
    answer = OpenApiResponse(response=IssuedTokenSerializer, description="A token.")
    return extend_schema(
        operation_id="getToken",
        auth=[],
        summary="Client id and secret for a bearer token",
        tags=["reverse channel"],
        request={JSON: TokenSerializer},
        parameters=[*_ON_ALL],
        responses=_responses(
            {200: answer},
            {
                400: (
                    ("BAD_REQUEST", "VALIDATION_ERROR"),
                    f"Not understood. details[].code: {_BODY_REASONS}; {_FIELD_REASONS}.",
                ),
                401: (("UNAUTHORIZED",), "Unknown client id, wrong secret or disabled (CREDENTIALS_WRONG)."),
                415: (("UNSUPPORTED_MEDIA_TYPE",), "The body is not application/json in UTF-8."),
                429: (("TOO_MANY_REQUESTS",), "Too many failed attempts; header Retry-After in seconds."),
            },
        ),
        examples=[
            _asked({"clientId": "voke-acme", "clientSecret": "esmsec_…"}),
            _told({"accessToken": "eyJhbGciOi…", "expiresIn": 3600}),
        ],
    )


def list_operation() -> Callable[[_Method], _Method]:
    """`GET plant/list`."""
    return extend_schema(
        operation_id="listPlants",
        auth=_BY_TOKEN,
        summary="The organisation's plants",
        description="Everything, or a page of it when `page` or `limit` is given.",
        tags=["reverse channel"],
        parameters=[
            OpenApiParameter(
                "page", {"type": "integer", "minimum": 1, "maximum": MAX_PAGE}, description="From 1."
            ),
            OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT}),
            _IF_NONE_MATCH,
            _ETAG,
            *_ON_ALL,
            _header("X-Total-Count", "All plants, wherever the body may not be all.", on=(200,), form=int),
        ],
        responses=_responses(
            {200: _list_answer(), 304: OpenApiResponse(description="Not changed.")},
            {
                400: (("VALIDATION_ERROR", "BAD_REQUEST"), "A parameter is wrong or given twice."),
                401: _BAD_TOKEN,
            },
        ),
        examples=[_told(mapping.list_to_wire([{**_ids(), **_EXAMPLE_PLANT}]))],
    )


def config_operation() -> Callable[[_Method], _Method]:
    """`GET plant/config`."""
    first, *others = mapping.plant_id_fields()
    also = f" Also taken under the name {', '.join(others)}." if others else ""
    return extend_schema(
        operation_id="getPlantConfig",
        auth=_BY_TOKEN,
        summary="The time configs in force",
        tags=["reverse channel"],
        parameters=[
            OpenApiParameter(
                first,
                {"type": "string", "minLength": 1},
                required=True,
                description=f"Our id of the plant.{also}",
            ),
            _IF_NONE_MATCH,
            _ETAG,
            *_ON_ALL,
        ],
        responses=_responses(
            {
                200: OpenApiResponse(response=PlantConfigSerializer, description="The config."),
                304: OpenApiResponse(description="Not changed."),
            },
            {
                400: (("VALIDATION_ERROR", "BAD_REQUEST"), "The plant id is missing, empty or given twice."),
                401: _BAD_TOKEN,
                404: (("PLANT_NOT_FOUND",), "The organisation has no such plant."),
            },
        ),
        examples=[_told({**_ids(), "configEnabled": True, "timeConfigs": [_EXAMPLE_BLOCK]})],
    )


def update_operation() -> Callable[[_Method], _Method]:
    """`POST plant/config/update`."""
    code = mapping.result_code(mapping.Outcome.ACCEPTED)
    return extend_schema(
        operation_id="updatePlantConfig",
        auth=_BY_TOKEN,
        summary="Ask for other time configs",
        description=(
            "200 means understood: `resultCode` says what became of it, and blocks that break a rule are a rejection "
            "with `details`. Asking for the same again gives the same answer. An answer that is not `terminal` changes "
            "when a person decides; ask again to learn it. Give the plant's id under one name."
        ),
        tags=["reverse channel"],
        request={JSON: UpdateSerializer},
        parameters=[*_ON_ALL],
        responses=_responses(
            {200: OpenApiResponse(response=UpdateAnswerSerializer, description="Understood.")},
            {
                400: (
                    ("BAD_REQUEST", "VALIDATION_ERROR"),
                    f"Not understood. details[].code: {_BODY_REASONS}; {_FIELD_REASONS}.",
                ),
                401: _BAD_TOKEN,
                404: (("PLANT_NOT_FOUND",), "The organisation has no such plant."),
                415: (("UNSUPPORTED_MEDIA_TYPE",), "The body is not application/json in UTF-8."),
            },
        ),
        examples=[
            _asked({mapping.plant_id_fields()[0]: "PLANT-7", "timeConfigs": [_EXAMPLE_BLOCK]}),
            _told(
                {
                    "resultCode": code.name,
                    "terminal": code.terminal,
                    "message": "Held: a person reviews the updates of this plant.",
                    "requestId": "5b0f7c1e-6a49-4f0e-9d0a-0d3b7c7f7a55",
                }
            ),
        ],
    )


def _ids() -> dict[str, str]:
    return dict.fromkeys(mapping.plant_id_fields(), "PLANT-7")


def _list_answer() -> OpenApiResponse:
    form: Any = PlantSerializer(many=True)
    if settings.TRADING_LIST_KEY != mapping.NO_LIST_KEY:
        form = inline_serializer("PlantList", {settings.TRADING_LIST_KEY: form})
    return OpenApiResponse(response=form, description="The plants.")


_EXAMPLE_PLANT: Final = {
    "name": "Depot",
    "description": None,
    "capacityKwh": 100,
    "fvePeakPowerKwp": 80,
    "plantWithLoad": True,
    "configEnabled": True,
    "esiState": "READY",
}
_EXAMPLE_BLOCK: Final = {
    "from": "00:00",
    "to": "05:59",
    "pBatMin": -10,
    "pBatMax": 10,
    "socMin": 20,
    "socMax": 95,
}


def _asked(value: Any) -> OpenApiExample:
    return OpenApiExample("asked", value=value, request_only=True)


def _told(value: Any) -> OpenApiExample:
    return OpenApiExample("told", value=value, response_only=True, status_codes=["200"])
