"""Whose plants an emergency order is meant for: ticked ones, all of a connection, all of an organisation."""

import uuid
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.contrib.admin.options import ModelAdmin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from dispatch.services.orders import Selection
from plants.admin.marks import change_url
from plants.admin.pages import Page, PageForm, posted, run_page
from plants.admin.theme import ActionVariant, action
from plants.models import Organisation, Plant
from plants.texts import number_of

_SELECTED = "emergency-selection:"


def remember_selection(request: HttpRequest, plant_ids: Sequence[int]) -> str:
    """Where the confirmation page for these plants is: thousands of ids are too long for an address."""
    name = uuid.uuid4().hex
    for old in list(request.session.keys()):
        if old.startswith(_SELECTED):
            del request.session[old]
    request.session[f"{_SELECTED}{name}"] = list(plant_ids)
    return f"{reverse('admin:dispatch_emergencyorder_ask')}?selection={name}"


def ask_url(**scope: str) -> str:
    """Where the confirmation page for `connection=` or `organisation=` is."""
    return f"{reverse('admin:dispatch_emergencyorder_ask')}?{urlencode(scope)}"


class AsksForAll:
    """Of an admin page whose row has plants: the way to an emergency for all of them; `scope_name` as in `ask_url`."""

    scope_name = ""

    @action(
        description="Emergency for all plants",
        url_path="emergency",
        icon="emergency_home",
        variant=ActionVariant.DANGER,
        permissions=["send_emergency"],
    )
    def emergency(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """To the confirmation page, with all plants of the row."""
        return redirect(ask_url(**{self.scope_name: object_id}))

    def has_send_emergency_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """Whether the person may send emergencies."""
        return request.user.has_perm("dispatch.send_emergency")


def _owners() -> "QuerySet[Organisation]":
    return Organisation.objects.filter(plants__isnull=False).distinct().order_by("name")


class ChooseOrganisationForm(PageForm):
    """Whose plants are meant."""

    organisation = forms.ModelChoiceField(queryset=Organisation.objects.none(), empty_label="Choose one")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field: Any = self.fields["organisation"]
        field.queryset = _owners()


def choose_organisation(model_admin: "ModelAdmin[Any]", request: HttpRequest) -> HttpResponse:
    """Ask whose plants are meant; nothing is asked where only one organisation has any."""
    form = ChooseOrganisationForm(posted(request))
    owners = list(_owners()[:2])
    if len(owners) == 1:
        return redirect(ask_url(organisation=str(owners[0].pk)))
    page = Page(
        title="Emergency for all plants of an organisation",
        lead="Nothing is sent yet: the next page counts the plants.",
        submit="Continue",
        back=reverse("admin:plants_plant_changelist"),
    )
    return run_page(
        model_admin,
        request,
        page=page,
        form=form,
        act=lambda asked: redirect(ask_url(organisation=str(asked["organisation"].pk))),
    )


def selection_of(request: HttpRequest) -> tuple[int, Selection] | None:
    """(organisation, selection) of the address; None where it names no plants of one organisation."""
    connection = number_of(request.GET.get("connection", ""))
    organisation = number_of(request.GET.get("organisation", ""))
    if connection is not None:
        rows: QuerySet[Plant] = Plant.objects.filter(connection_id=connection)
        selection = Selection(connection_id=connection)
    elif organisation is not None:
        rows, selection = Plant.objects.filter(organisation_id=organisation), Selection()
    else:
        ids = request.session.get(f"{_SELECTED}{request.GET.get('selection', '')}", [])
        rows, selection = Plant.objects.filter(pk__in=ids[:1]), Selection(plant_ids=frozenset(ids))
    owner = rows.order_by().values_list("organisation_id", flat=True).first()
    return None if owner is None else (owner, selection)


def back_of(selection: Selection, owner: Organisation) -> str:
    """The page that the selection was made on."""
    if selection.plant_ids is not None:
        return reverse("admin:plants_plant_changelist")
    if selection.connection_id is not None:
        return reverse("admin:plants_connection_change", args=[selection.connection_id])
    return change_url(owner)
