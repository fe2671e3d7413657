"""The list endpoint as a competent developer writes it first: DRF's generic view over a ModelSerializer.

Same server, same settings of database and pool, same token (PyJWT), same rows, same body. The project is what
`startproject` makes: Django's own middleware, DRF's authentication hook, one `create()` for the journal.
"""

from datetime import datetime
from time import monotonic
from typing import Any

import jwt
from django.conf import settings
from django.db.models import QuerySet
from django.urls import path
from rest_framework import serializers
from rest_framework.authentication import BaseAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.generics import ListAPIView
from rest_framework.request import Request
from rest_framework.response import Response

from esm import clock
from plants.models import Plant
from trading_api.models import Credential, PullJournal


class PlantSerializer(serializers.ModelSerializer[Plant]):
    """A plant as `list` shows it."""

    plantId = serializers.CharField(source="external_plant_id")
    externalPlantId = serializers.CharField(source="external_plant_id")
    capacityKwh = serializers.FloatField(source="capacity_kwh")
    fvePeakPowerKwp = serializers.FloatField(source="fve_peak_power_kwp")
    plantWithLoad = serializers.BooleanField(source="plant_with_load")
    configEnabled = serializers.BooleanField(source="config_enabled")
    esiState = serializers.CharField(source="esi_state")
    description = serializers.SerializerMethodField()

    class Meta:
        model = Plant
        fields = (
            "plantId", "externalPlantId", "name", "description", "capacityKwh", "fvePeakPowerKwp", "plantWithLoad",
            "configEnabled", "esiState",
        )  # fmt: skip

    def get_description(self, plant: Plant) -> str | None:
        """None where there is none."""
        return plant.description or None


class TokenAuthentication(BaseAuthentication):
    """A bearer token of ours whose credential still stands."""

    def authenticate(self, request: Request) -> tuple[Credential, None]:
        """The credential in the place of a user."""
        try:
            claims = jwt.decode(
                request.headers.get("Authorization", "").removeprefix("Bearer "),
                settings.JWT_KEYS[0].verifying,
                algorithms=[settings.JWT_KEYS[0].algorithm],
                audience=settings.TRADING_TOKEN_AUDIENCE,
                issuer=settings.TRADING_TOKEN_ISSUER,
            )
            credential = Credential.objects.select_related("organisation").get(client_id=claims["sub"])
        except (jwt.InvalidTokenError, Credential.DoesNotExist) as error:
            raise AuthenticationFailed from error
        if not credential.enabled or credential.revision != claims["rev"]:
            raise AuthenticationFailed
        return credential, None


class PlantList(ListAPIView[Plant]):
    """`GET /trading/plant/list`."""

    authentication_classes = (TokenAuthentication,)
    serializer_class = PlantSerializer
    at: datetime
    began: float

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """When it came."""
        self.at, self.began = clock.now(), monotonic()
        super().initial(request, *args, **kwargs)

    def get_queryset(self) -> QuerySet[Plant]:
        """The organisation's plants."""
        credential: Any = self.request.user
        return Plant.objects.filter(organisation=credential.organisation).order_by("external_plant_id")

    def list(self, request: Request, *args: Any, **kwargs: Any) -> Response:
        """The list, once its row is in the journal."""
        response = super().list(request, *args, **kwargs)
        credential: Any = request.user
        PullJournal.objects.create(
            at=self.at,
            organisation=credential.organisation,
            credential=credential,
            client_id=credential.client_id,
            address=request.META["REMOTE_ADDR"],
            request_id=request.headers.get("X-Request-Id", ""),
            endpoint="list",
            method=request.method or "",
            status=response.status_code,
            result=f"{len(response.data)} plants",
            latency_ms=round((monotonic() - self.began) * 1000, 2),
            bytes_in=0,
            bytes_out=0,
        )
        return response


urlpatterns = [path("trading/plant/list", PlantList.as_view())]
