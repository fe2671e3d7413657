"""The four endpoints under any prefix, with and without a slash at the end, and the document that describes them.

Everything else below `trading` is 404.
"""

from django.urls import re_path

from trading_api.openapi.view import OpenApiView
from trading_api.views import ConfigUpdateView, PlantConfigView, PlantListView, TokenView, UnknownView

_PREFIX = r"^(?:.*/)?trading"

urlpatterns = [
    re_path(rf"{_PREFIX}/token/?\Z", TokenView.as_view(), name="trading-token"),
    re_path(rf"{_PREFIX}/plant/list/?\Z", PlantListView.as_view(), name="trading-list"),
    re_path(rf"{_PREFIX}/plant/config/?\Z", PlantConfigView.as_view(), name="trading-config"),
    re_path(rf"{_PREFIX}/plant/config/update/?\Z", ConfigUpdateView.as_view(), name="trading-update"),
    re_path(rf"{_PREFIX}/openapi\.json\Z", OpenApiView.as_view(), name="trading-openapi"),
    re_path(rf"{_PREFIX}(?:/.*)?\Z", UnknownView.as_view(), name="trading-unknown"),
]
