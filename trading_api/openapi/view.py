"""`GET …/trading/openapi.json`: the document, for anybody; it says nothing that the code does not."""

from django.http import HttpResponse
from rest_framework.request import Request

from trading_api.answers import is_known
from trading_api.openapi.document import document
from trading_api.views import ReverseChannelView, plain, pull_of

_KEEP = "public, max-age=300"


class OpenApiView(ReverseChannelView):
    """The document of this installation."""

    schema = None

    def get(self, request: Request) -> HttpResponse:
        """The document, or 304."""
        found = document()
        known = is_known(plain(request), found.tag)
        response = (
            HttpResponse(status=304) if known else HttpResponse(found.body, content_type="application/json")
        )
        response["ETag"], response["Cache-Control"] = found.tag, _KEEP
        pull_of(request).result = "openapi"
        return response
