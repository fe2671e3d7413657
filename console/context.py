"""What the frame around every page of the console shows."""

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import ResolverMatch
from django.utils.functional import SimpleLazyObject

from console.access import Viewer
from console.frame import Frame, frame_of
from console.texts import script_texts
from esm import clock
from live.feed import RING
from live.grants import STREAM


def frame(request: HttpRequest) -> dict[str, Any]:
    """For pages of the console: the viewer, the theme, and the navigation (read when shown); for all its name."""
    if not request.path.startswith("/console/"):
        return {"product_name": settings.PRODUCT_NAME}
    viewer: Viewer | None = getattr(request, "viewer", None)
    found: dict[str, Any] = {
        "product_name": settings.PRODUCT_NAME,
        "viewer": viewer,
        "theme": getattr(request.user, "theme", "system") if hasattr(request, "user") else "system",
        "nav": _screen(request.resolver_match),
        "script_texts": script_texts,
        # By this the page's own clock goes: ages and countdowns are told by the server's time.
        "made_ms": round(clock.now().timestamp() * 1000),
    }
    if viewer is not None:
        found["frame"] = SimpleLazyObject(lambda: _frame(viewer))
        # Before the page is read from the database: what comes from now on is told by the stream.
        if STREAM in request.META.get("asgi.scope", {}):
            found["live_from"] = str(RING.position())
    return found


def _screen(match: ResolverMatch | None) -> str:
    names = [] if match is None else match.namespaces
    return names[1] if len(names) > 1 else ""


def _frame(viewer: Viewer) -> Frame:
    return frame_of(viewer)
