"""What all admin pages of the platform share: bounded lists, machine-owned tables, refusals shown in the form.

Admin is an entry point: it reads the clock and passes the instant down, and it writes only through services.
"""

from typing import Any, TypeVar

from django import forms
from django.contrib.admin import ShowFacets
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.core.paginator import Paginator
from django.db.models import Model, QuerySet
from django.forms.formsets import BaseFormSet
from django.http import HttpRequest, HttpResponse
from django.utils.functional import cached_property

from plants.admin.refusals import REFUSALS, problems_of, sentence
from plants.admin.theme import ThemedAdmin, ThemedChangeList
from plants.errors import DomainError

SECRETS = ("amqps_uri", "api_key", "signing_key")
_PROBLEMS = "_domain_problems"
RowT = TypeVar("RowT", bound=Model)


def without_secrets(rows: "QuerySet[RowT]", path: str = "") -> "QuerySet[RowT]":
    """Leave a connection's secrets in the database: a page must open even when one of them does not decrypt."""
    prefix = f"{path}__" if path else ""
    return rows.defer(*(f"{prefix}{name}" for name in SECRETS))


class BoundedPaginator(Paginator):
    """Counts no further than `LIMIT` rows: a page of a large table must not read all of it."""

    LIMIT = 10_000
    template_name = "admin/plants/pagination.html"

    @cached_property
    def count(self) -> int:
        rows = self.object_list
        return rows.order_by()[: self.LIMIT].count() if isinstance(rows, QuerySet) else len(rows)

    @property
    def is_cut(self) -> bool:
        """Whether there may be more rows than were counted."""
        return self.count == self.LIMIT


class RoomChangeList(ThemedChangeList):
    """A list without a count of the whole table: where nothing is filtered, what was counted is the whole."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        if not self.query and not self.has_active_filters:
            self.full_result_count = self.result_count


class RoomAdmin(ThemedAdmin):
    """Base of every page: 50 rows a page, no count of the whole table, no deletion unless a page says otherwise."""

    paginator = BoundedPaginator
    compressed_fields = False
    list_per_page = 50
    list_max_show_all = 50
    show_full_result_count = False
    show_facets = ShowFacets.NEVER  # counting every filter's rows would read a large table many times
    list_filter_submit = True
    list_filter_sheet = True
    list_fullwidth = True
    warn_unsaved_form = True

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return RoomChangeList

    def history_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        # Django looks the row up first, and so would tell who may open no page of it whether it exists.
        if not self.has_view_or_change_permission(request):
            raise PermissionDenied
        answer: HttpResponse = super().history_view(request, object_id, extra_context)
        return answer


class MachineOwned(RoomAdmin):
    """A table that only the platform writes: to be looked at, searched and filtered."""

    compressed_fields = True
    shows_history = False  # where people decide something about a row, what they did is worth a look

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> Any:
        return super().changeform_view(
            request, object_id, form_url, {"show_history": self.shows_history, **(extra_context or {})}
        )


class RefusableForm(forms.ModelForm):
    """A model form that also shows what a service said on the attempt before."""

    refused: tuple[DomainError, ...] = ()

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        for problem in self.refused:
            if problem.path in self.fields:
                self.add_error(problem.path, sentence(problem))
            elif not self.shown_elsewhere(problem.path):
                self.add_error(None, sentence(problem, name_path=True))

    @classmethod
    def shown_elsewhere(cls, path: str) -> bool:
        """Whether an inline form shows the problem of this path."""
        return path.startswith(("assets[", "timeConfigs"))


class RefusalsInForm(RoomAdmin):
    """An editable page whose services may refuse: the save is rolled back and the form comes back with the reasons.

    The rules live in the services alone, so the first attempt is the check. When it raises, its transaction is gone;
    the same request is then handled once more with forms that are invalid because of what the service said.
    """

    form = RefusableForm

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except REFUSALS as error:
            if request.method != "POST":
                raise
            setattr(request, _PROBLEMS, tuple(problems_of(error)))
        return super().changeform_view(request, object_id, form_url, extra_context)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change=change, **kwargs)
        problems = refused_in(request)
        return type(form.__name__, (form,), {"refused": problems}) if problems else form

    def _create_formsets(self, request: HttpRequest, obj: Any, change: bool) -> Any:
        formsets, inlines = super()._create_formsets(request, obj, change)  # type: ignore[misc]
        problems = refused_in(request)
        if problems:
            for formset in formsets:
                formset.is_valid()
                self.tell_formset(formset, problems)
        return formsets, inlines

    def tell_formset(self, formset: "BaseFormSet[Any]", problems: tuple[DomainError, ...]) -> None:
        """Put the problems that belong to an inline at its rows."""


def refused_in(request: HttpRequest) -> tuple[DomainError, ...]:
    """What the services said on this request's first attempt."""
    found: tuple[DomainError, ...] = getattr(request, _PROBLEMS, ())
    return found
