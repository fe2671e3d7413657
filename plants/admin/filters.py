"""A filter by connection that reads no secret: the list must open even when one of them does not decrypt."""

from typing import Any

from django.http import HttpRequest

from plants.admin.theme import RelatedDropdownFilter
from plants.models import Connection


class ConnectionFilter(RelatedDropdownFilter):
    """By connection, named with its organisation."""

    def field_choices(self, field: Any, request: HttpRequest, model_admin: Any) -> Any:
        rows = Connection.objects.order_by("organisation__name", "name")
        return [
            (pk, f"{owner}: {name}")
            for pk, owner, name in rows.values_list("pk", "organisation__name", "name")
        ]
