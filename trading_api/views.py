"""The four endpoints of the reverse channel: authenticate, parse, one service or selector, serialise.

Exceptions become Voke's error envelope in `esm.errors` (REST_FRAMEWORK's EXCEPTION_HANDLER); the journal row is written
by `trading_api.middleware` around the view, from what the view notes in `request.pull`.

HEAD answers as GET without a body (and serves no version); OPTIONS answers 204 with Allow and needs no token; any other
method is 405 with Allow. Accept is not looked at: there is one form of answer, and a 406 would help nobody.
"""

from typing import Any

from django.core.exceptions import ValidationError as FieldError
from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import ValidationError
from rest_framework.negotiation import BaseContentNegotiation
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from esm import clock
from plants.errors import DomainError, Invalid, NotFound
from plants.models.plant import EXTERNAL_PLANT_ID
from trading_api import mapping, selectors
from trading_api.access import access_of, claims_of
from trading_api.answers import (
    entity_tag,
    has_been_given,
    is_known,
    json_answer,
    not_modified,
    read_json,
    with_validators,
)
from trading_api.errors import TooManyAttempts
from trading_api.gate import GATE
from trading_api.journal import ISSUED, Pull
from trading_api.limits import request_address
from trading_api.openapi.operations import (
    config_operation,
    list_operation,
    token_operation,
    update_operation,
)
from trading_api.paths import Endpoint
from trading_api.plain_list import list_answer
from trading_api.selectors import Access, PlantView
from trading_api.serializers import UpdateSerializer, credentials_of
from trading_api.services.tokens import exchange_secret
from trading_api.services.updates import record_served, request_update
from vcp import ProtocolError


class OneForm(BaseContentNegotiation):
    """Always the first renderer, whatever Accept says."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        """The only form there is."""
        return renderers[0], renderers[0].media_type

    def select_parser(self, request: Request, parsers: Any) -> Any:
        """Not used: bodies are read by `read_json`, which refuses what DRF's parser lets pass."""
        return parsers[0]


class ReverseChannelView(APIView):
    """What the endpoints share."""

    content_negotiation_class = OneForm

    def options(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Response:
        """Which methods there are (header Allow)."""
        return Response(status=204)


def plain(request: Request) -> HttpRequest:
    """Django's request inside DRF's."""
    return request._request


def pull_of(request: Request) -> Pull:
    """Where a view notes what the journal should know."""
    pull: Pull = plain(request).pull  # type: ignore[attr-defined]
    return pull


class TokenView(ReverseChannelView):
    """`POST …/trading/token`: client id and secret for a bearer token."""

    @token_operation()
    def post(self, request: Request) -> HttpResponse:
        """`{accessToken, expiresIn}` in seconds."""
        pull, address, at = pull_of(request), request_address(request.META), clock.now()
        client_id, client_secret = _credentials(request, address)
        pull.client_id = client_id
        wait_s = GATE.wait_s(address=address, client_id=client_id, client_secret=client_secret, at=at)
        if wait_s is not None:
            raise TooManyAttempts("too many failed attempts", retry_after_s=wait_s)
        stored = selectors.stored_secret(client_id)
        if stored is not None:
            pull.credential_id, pull.organisation_id = stored.credential_id, stored.organisation_id
        token = exchange_secret(
            stored=stored, client_id=client_id, client_secret=client_secret, address=address, at=at
        )
        pull.result = ISSUED
        return json_answer(
            {"accessToken": token.access_token, "expiresIn": token.expires_in_s}, Cache_Control="no-store"
        )


def _credentials(request: Request, address: str | None) -> tuple[str, str]:
    """Client id and secret of the body; a body that is not understood is a failed attempt too."""
    try:
        return credentials_of(read_json(plain(request)))
    except (ProtocolError, DomainError, ValidationError):
        GATE.note_failure(address=address, client_id="", client_secret="", at=clock.now())
        raise


class PlantListView(ReverseChannelView):
    """`GET …/trading/plant/list`: every plant of the organisation, or a page of them."""

    @list_operation()
    def get(self, request: Request) -> HttpResponse:
        """The list, or 304."""
        return list_answer(plain(request), plain(request).GET)


class PlantConfigView(ReverseChannelView):
    """`GET …/trading/plant/config?plantId=`: the time-config blocks in force."""

    @config_operation()
    def get(self, request: Request) -> HttpResponse:
        """The config, or 304 to who has it: either way this credential has been given the version in force."""
        given = _plant_refs(request)
        claims = claims_of(plain(request))
        plant_ref = _the_ref(given)
        access = access_of(plain(request), claims, plant_ref=plant_ref if _can_be_ours(plant_ref) else "")
        plant = _the_plant(access, plant_ref)
        pull = pull_of(request)
        pull.plant_id, pull.version = plant.plant_id, plant.version_number
        tag = entity_tag(access, Endpoint.CONFIG, plant.external_plant_id)
        known = is_known(plain(request), tag)
        response = not_modified(tag) if known else with_validators(json_answer(_config(plant)), tag)
        has_it = not known or has_been_given(plain(request), tag)
        newer = plant.served_number is None or plant.served_number < plant.version_number
        if request.method == "GET" and has_it and newer:
            record_served(
                credential_id=access.credential_id,
                plant_id=plant.plant_id,
                number=plant.version_number,
                at=clock.now(),
            )
        return response


def _plant_refs(request: Request) -> dict[str, list[str]]:
    """The plant ids of the query by the name of their parameter; the first is noted for the journal."""
    given = {
        name: request.query_params.getlist(name)
        for name in mapping.plant_id_fields()
        if name in request.query_params
    }
    pull_of(request).plant_ref = next((text for texts in given.values() for text in texts if text), "")
    return given


def _the_ref(given: dict[str, list[str]]) -> str:
    """The one plant id, "" when there is none; raises Invalid where one parameter comes twice or two disagree."""
    for name, texts in given.items():
        if len(texts) > 1:
            raise Invalid("is given more than once", path=name)
    named = {texts[0] for texts in given.values() if texts[0]}
    if len(named) > 1:
        raise Invalid("the plant ids contradict each other", path=mapping.plant_id_fields()[0])
    return named.pop() if named else ""


def _can_be_ours(plant_ref: str) -> bool:
    """Whether the database may be asked for it: a NUL, for one, it would refuse with an error."""
    try:
        EXTERNAL_PLANT_ID(plant_ref)
    except FieldError:
        return False
    return True


def _the_plant(access: Access, plant_ref: str) -> PlantView:
    if access.plant is not None:
        return access.plant
    field = mapping.plant_id_fields()[0]
    if not plant_ref:
        raise Invalid(f"the query parameter {field} is required", path=field)
    raise NotFound(f"no plant {plant_ref!r}", path=field, code="PLANT_NOT_FOUND")


def _config(plant: PlantView) -> dict[str, Any]:
    blocks = selectors.blocks_in_force(plant)
    return mapping.config_to_wire(plant.external_plant_id, config_enabled=plant.config_enabled, blocks=blocks)


class ConfigUpdateView(ReverseChannelView):
    """`POST …/trading/plant/config/update`: Voke asks for other blocks."""

    @update_operation()
    def post(self, request: Request) -> HttpResponse:
        """`{resultCode, terminal, message, requestId}` once the request was understood."""
        access = access_of(plain(request), claims_of(plain(request)))
        body = read_json(plain(request))
        pull = pull_of(request)
        pull.plant_ref = next((str(body[name]) for name in mapping.plant_id_fields() if name in body), "")
        asked = UpdateSerializer(data=body)
        asked.is_valid(raise_exception=True)
        answer = request_update(
            organisation_id=access.organisation_id,
            credential_id=access.credential_id,
            client_id=access.client_id,
            external_plant_id=asked.validated_data["plant_ref"],
            blocks=[mapping.block_from_wire(item) for item in asked.validated_data["timeConfigs"]],
            at=clock.now(),
        )
        pull.plant_id, pull.version = answer.plant_id, answer.version
        pull.result, pull.detail = mapping.result_code(answer.outcome).name, answer.message
        return json_answer(
            mapping.update_to_wire(
                answer.outcome,
                message=answer.message,
                request_id=str(answer.request_id),
                details=[
                    {"path": problem.path, "code": problem.code, "message": problem.message}
                    for problem in answer.problems
                ],
            ),
            Cache_Control="no-store",
        )


class UnknownView(ReverseChannelView):
    """Anything else below `trading`: 404 in the envelope, whatever the method."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Before the method is looked at: what does not exist allows none."""
        raise NotFound("there is no such endpoint")
