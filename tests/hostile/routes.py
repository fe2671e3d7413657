"""Every route of the project's URL conf as addresses that can be asked for; a parameter nobody knows is an error."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.contrib import admin
from django.db.models import Model
from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.resolvers import RoutePattern

NOBODY = 987_654_321  # the key of a row that is not there
_CONVERTED = re.compile(r"<(?:[a-z_]+:)?([a-z_]+)>")


@dataclass(frozen=True, kw_only=True)
class Route:
    """`pattern` as written in the URL conf, `name` with its namespaces."""

    pattern: str
    name: str
    is_regex: bool

    @property
    def is_admin(self) -> bool:
        return self.pattern.startswith("admin/")

    @property
    def parameters(self) -> list[str]:
        return [] if self.is_regex else _CONVERTED.findall(self.pattern)

    @property
    def model(self) -> type[Model] | None:
        """Whose admin page it is, told by its address."""
        for model in admin.site._registry:
            if self.pattern.startswith(f"admin/{model._meta.app_label}/{model._meta.model_name}/"):
                return model
        return None

    def address(self, **values: object) -> str:
        """The path with these values; raises KeyError for a parameter that nobody gave."""
        return "/" + _CONVERTED.sub(lambda found: str(values[found[1]]), self.pattern)


def every_route(resolver: URLResolver | None = None, prefix: str = "", space: str = "") -> Iterator[Route]:
    """All of them, also of applications that are added later."""
    for entry in (resolver or get_resolver()).url_patterns:
        pattern = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            inner = f"{space}{entry.namespace}:" if entry.namespace else space
            yield from every_route(entry, pattern, inner)
        elif isinstance(entry, URLPattern):
            yield Route(
                pattern=pattern,
                name=f"{space}{entry.name or ''}",
                is_regex=not isinstance(entry.pattern, RoutePattern),
            )


def values_for(route: Route, key: object) -> dict[str, Any]:
    """Values for the parameters of an admin route; a new kind of parameter needs a line here."""
    model = route.model
    known = {
        "object_id": key,
        "id": key,
        "plant_id": key if isinstance(key, int) else NOBODY,
        "order_id": key if isinstance(key, int) else NOBODY,
        "upload_id": key if isinstance(key, int) else NOBODY,
        "day_text": "2026-01-02",
        "content_type_id": 1,
        "app_label": "plants" if model is None else model._meta.app_label,
        "url": "plants/nothing-here",
    }
    return {name: known[name] for name in route.parameters}
