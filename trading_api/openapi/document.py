"""Builds the OpenAPI document from the views and keeps it as bytes; the wire's names in it are this installation's.

python manage.py openapi > docs/openapi.json      # `make openapi` does it with the settings' defaults
"""

import hashlib
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import msgspec
from django.urls import path
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import patched_settings

from trading_api.openapi.operations import PROBLEM, SCHEME
from trading_api.views import ConfigUpdateView, PlantConfigView, PlantListView, TokenView

_BUILDING: Final = threading.Lock()  # drf-spectacular's settings are the process's
_VERSION: Final = "1.0.0"  # of the contract: count up when the document changes
# The real routes take any prefix and a slash at the end; Voke appends exactly these.
_PATHS: Final = [
    path("trading/token", TokenView.as_view()),
    path("trading/plant/list", PlantListView.as_view()),
    path("trading/plant/config", PlantConfigView.as_view()),
    path("trading/plant/config/update", ConfigUpdateView.as_view()),
]
_SETTINGS: Final[Mapping[str, Any]] = {
    "TITLE": "ESM reverse channel",
    "DESCRIPTION": (
        "What Voke calls. A token first, then the plants and their time configs. Every error has one envelope "
        "(`Problem`): branch on `code`, tell people `message`, quote `requestId` to support. A slash at the end of a "
        "path is allowed, and any prefix before `/trading`. HEAD answers as GET without a body, OPTIONS answers 204 "
        "with `Allow`. Times are the plant's local wall clock; battery power is positive while charging unless the "
        "installation says otherwise; unknown members of a body are left alone, but no text anywhere may hold U+0000."
    ),
    "VERSION": _VERSION,
    "OAS_VERSION": "3.1.0",
    "COMPONENT_SPLIT_REQUEST": False,
    "DISABLE_ERRORS_AND_WARNINGS": False,
    "SERVERS": [{"url": "/"}],
    "ENABLE_LIST_MECHANICS_ON_NON_2XX": False,
}
_ERROR_FORM: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "Voke's error envelope.",
    "required": ["statusCode", "message", "error", "code", "requestId"],
    "properties": {
        "statusCode": {"type": "integer", "description": "The HTTP status."},
        "message": {"type": "string", "description": "For people."},
        "error": {"type": "string", "description": "The status in words."},
        "code": {"type": "string", "description": "Stable; branch on this."},
        "requestId": {"type": "string", "description": "Equals the header X-Request-Id."},
        "details": {"type": "array", "items": {"$ref": "#/components/schemas/ProblemDetail"}},
    },
    "examples": [
        {
            "statusCode": 404,
            "message": "no plant 'PLANT-8'",
            "error": "Not Found",
            "code": "PLANT_NOT_FOUND",
            "details": [{"path": "plantId", "code": "PLANT_NOT_FOUND", "message": "no plant 'PLANT-8'"}],
            "requestId": "0b6f0d1f3f0a4c5c9d7e0c1e2f3a4b5c",
        }
    ],
}
_SCHEME: Final[Mapping[str, Any]] = {
    "type": "http",
    "scheme": "bearer",
    "bearerFormat": "JWT",
    "description": "The `accessToken` of `POST /trading/token`. Only in the header: never in a query string.",
}


@dataclass(frozen=True, kw_only=True)
class Document:
    """The document as it is sent, and its strong ETag."""

    body: bytes
    tag: str


def openapi_document() -> dict[str, Any]:
    """The document as plain data."""
    with _BUILDING, patched_settings(dict(_SETTINGS)):
        made: dict[str, Any] = SchemaGenerator(patterns=_PATHS).get_schema(request=None, public=True)
    components = made["components"]
    components["schemas"][PROBLEM] = dict(_ERROR_FORM)
    components["securitySchemes"] = {SCHEME: dict(_SCHEME)}
    return made


@lru_cache(maxsize=1)
def document() -> Document:
    """Made once by a process: it depends on nothing but code and settings."""
    body = msgspec.json.format(msgspec.json.encode(openapi_document()), indent=2) + b"\n"
    return Document(body=body, tag=f'"{hashlib.sha256(body).hexdigest()[:32]}"')
