"""An URL map whose only page grants everybody a stream: for tests of many streams, whose people do not matter."""

from django.http import HttpRequest, HttpResponse
from django.urls import path

from live.grants import STREAM, Grant
from live.wishes import wishes_of

ORGANISATION = 1


def live(request: HttpRequest) -> HttpResponse:
    """A stream without a question."""
    request.META["asgi.scope"][STREAM].append(
        Grant(organisation_id=ORGANISATION, user_id=1, session_key="", wishes=wishes_of("command"))
    )
    return HttpResponse(content_type="text/event-stream; charset=utf-8")


urlpatterns = [path("console/live/", live)]
