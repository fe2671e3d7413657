"""Pages with one question: a form (or only a button) that names what will happen, and a service that does it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django import forms
from django.contrib.admin.options import ModelAdmin
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404, HttpRequest, HttpResponse, QueryDict
from django.template.response import TemplateResponse

from plants.admin.refusals import attempt
from plants.admin.theme import style_form


class PageForm(forms.Form):
    """A form of an action page; `field_of` says which field shows the problem of a service's path."""

    PATHS: Mapping[str, str] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        style_form(self)

    def field_of(self, path: str) -> str | None:
        """The field that shows a problem of this path."""
        return self.PATHS.get(path, path)


@dataclass(frozen=True, kw_only=True)
class Page:
    """What an action page says: `title` asks the question, `lead` tells what happens, `submit` repeats the verb."""

    title: str
    submit: str
    lead: str = ""
    facts: Sequence[tuple[str, object]] = ()
    effects: Sequence[object] = ()
    back: str = ""
    danger: bool = False
    multipart: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)


def show_page(
    model_admin: "ModelAdmin[Any]",
    request: HttpRequest,
    *,
    page: Page,
    form: forms.Form,
    row: Model | None = None,
    template: str = "admin/plants/page.html",
) -> TemplateResponse:
    """The page itself, in the frame of the admin."""
    request.current_app = model_admin.admin_site.name
    context = {
        **model_admin.admin_site.each_context(request),
        "opts": model_admin.opts,
        "original": row,
        "title": page.title,
        "page": page,
        "form": form,
        "media": model_admin.media + form.media,
        **page.extra,
    }
    response = TemplateResponse(request, template, context)
    response["Cache-Control"] = "no-store"
    return response


def run_page(
    model_admin: "ModelAdmin[Any]",
    request: HttpRequest,
    *,
    page: Page,
    form: PageForm,
    act: Callable[[dict[str, Any]], HttpResponse],
    row: Model | None = None,
    template: str = "admin/plants/page.html",
) -> HttpResponse:
    """Show the page; on POST of a valid form do it, or show again what the service refused."""
    if request.method == "POST" and form.is_valid():
        done = attempt(form, lambda: act(form.cleaned_data), field_of=form.field_of)
        if done is not None:
            return done
    return show_page(model_admin, request, page=page, form=form, row=row, template=template)


def found_or_404(model_admin: "ModelAdmin[Any]", request: HttpRequest, object_id: str) -> Any:
    """The row of the page, or 404."""
    row = model_admin.get_object(request, object_id)
    if row is None:
        raise Http404
    return row


def require(request: HttpRequest, *permissions: str) -> None:
    """Refuse with 403 unless the person has every permission named."""
    if not all(request.user.has_perm(permission) for permission in permissions):
        raise PermissionDenied


def posted(request: HttpRequest) -> QueryDict | None:
    """What a form is bound to: the posted fields, even when there are none of them."""
    return request.POST if request.method == "POST" else None
