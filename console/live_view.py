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

    200 as `text/event-stream`, 400 for topics that there are not, 501 where nothing can stream. A probe gets 204, or
    what the stream would get where there is no room for it (`esm.streams`).
    """
    try:
        wishes = wishes_of(request.GET.get("topics", ""))
    except BadWishes as error:
        return HttpResponseBadRequest(f"{error}\n", content_type="text/plain; charset=utf-8")
    granted = request.META.get("asgi.scope", {}).get(STREAM)
    is_probe = "probe" in request.GET
    if is_probe and granted is None:
        return HttpResponse(status=204, headers=_HEADERS)
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
            is_probe=is_probe,
        )
    )
    if is_probe:
        return HttpResponse(status=204, headers=_HEADERS)
    return HttpResponse(content_type="text/event-stream; charset=utf-8", headers=_HEADERS)
