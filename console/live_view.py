"""Live data for a browser: this view decides who may hear what, and has done when the stream begins (`esm.streams`).

`GET live/?topics=plant:12,13|command&from=<position>&slow=1`; a browser that comes back by itself says its position as
Last-Event-ID. `probe=1` only asks whether a stream would be granted: EventSource does not tell why one was not.
"""

from django.http import HttpResponse, HttpResponseBadRequest, HttpResponseBase
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from console.access import ConsoleRequest, page
from live.grants import STREAM, Grant
from live.wishes import BadWishes, wishes_of

_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


@require_safe
@page()
def live(request: ConsoleRequest) -> HttpResponseBase:
    """Grant a stream of the viewer's organisation.

    200 as `text/event-stream`, 400 for topics that there are not, 204 to a probe, 501 where nothing can stream.
    """
    try:
        wishes = wishes_of(request.GET.get("topics", ""))
    except BadWishes as error:
        return HttpResponseBadRequest(f"{error}\n", content_type="text/plain; charset=utf-8")
    if "probe" in request.GET:
        return HttpResponse(status=204, headers=_HEADERS)
    granted = request.META.get("asgi.scope", {}).get(STREAM)
    if granted is None or request.method != "GET":
        return HttpResponse(
            gettext("This server can't stream."), status=501, content_type="text/plain; charset=utf-8"
        )
    granted.append(
        Grant(
            organisation_id=request.viewer.organisation.pk,
            user_id=request.viewer.user.pk,
            session_key=request.session.session_key or "",
            wishes=wishes,
            position=request.headers.get("Last-Event-ID", "") or request.GET.get("from", ""),
            slow="slow" in request.GET,
        )
    )
    return HttpResponse(content_type="text/event-stream; charset=utf-8", headers=_HEADERS)
