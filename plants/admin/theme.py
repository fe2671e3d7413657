"""The admin theme's classes under typed names: the only module of the rooms that imports the theme itself.

The theme ships no types; for the type checker its admin classes are Django's own, which they extend.
"""

from typing import TYPE_CHECKING, Any

from django import forms
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.admin.widgets import AutocompleteSelect, AutocompleteSelectMultiple
from django.db.models import Field

if TYPE_CHECKING:
    from django.contrib.admin.filters import ChoicesFieldListFilter as ChoicesDropdownFilter
    from django.contrib.admin.filters import RelatedFieldListFilter as AutocompleteSelectFilter
    from django.contrib.admin.filters import RelatedFieldListFilter as RelatedDropdownFilter
    from django.contrib.admin.filters import SimpleListFilter as DropdownFilter
    from django.contrib.auth.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm

    ThemedAdmin = admin.ModelAdmin[Any]
    ThemedChangeList = ChangeList
    ThemedTabularInline = admin.TabularInline[Any, Any]
else:
    from unfold.admin import ModelAdmin as ThemedAdmin
    from unfold.admin import TabularInline as ThemedTabularInline
    from unfold.contrib.filters.admin import (
        AutocompleteSelectFilter,
        ChoicesDropdownFilter,
        DropdownFilter,
        RelatedDropdownFilter,
    )
    from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
    from unfold.views import ChangeList as ThemedChangeList

from unfold import widgets  # type: ignore[import-untyped]
from unfold.decorators import action, display  # type: ignore[import-untyped]
from unfold.enums import ActionVariant  # type: ignore[import-untyped]

__all__ = [
    "ActionVariant",
    "AdminPasswordChangeForm",
    "AutocompleteSelectFilter",
    "ChoicesDropdownFilter",
    "DropdownFilter",
    "RelatedDropdownFilter",
    "ThemedAdmin",
    "ThemedChangeList",
    "ThemedTabularInline",
    "UserChangeForm",
    "UserCreationForm",
    "action",
    "autocomplete",
    "display",
    "local_time_input",
    "mono_input",
    "style_form",
    "widgets",
]

_BY_WIDGET: tuple[tuple[type[forms.Widget], list[str]], ...] = (
    (forms.CheckboxInput, widgets.CHECKBOX_CLASSES),
    (forms.Textarea, widgets.TEXTAREA_CLASSES),
    (forms.Select, widgets.SELECT_CLASSES),
    (forms.TextInput, widgets.INPUT_CLASSES),
    (forms.NumberInput, widgets.INPUT_CLASSES),
    (forms.DateTimeInput, widgets.INPUT_CLASSES),
)


def style_form(form: forms.Form) -> None:
    """Give the widgets of a plain form the theme's look; a widget that brings classes keeps them."""
    for field in form.fields.values():
        widget = field.widget
        if type(widget) is forms.Select:
            widget.template_name = "unfold/widgets/select.html"  # draws the arrow
        if widget.attrs.get("class"):
            continue
        classes = next((classes for kind, classes in _BY_WIDGET if isinstance(widget, kind)), None)
        if classes is not None:
            widget.attrs["class"] = " ".join(classes)


def local_time_input() -> forms.DateTimeInput:
    """The browser's own picker of date and time; it works on phones and needs no script."""
    return forms.DateTimeInput(format="%Y-%m-%dT%H:%M", attrs={"type": "datetime-local", "step": "1"})


def mono_input(**attrs: str) -> forms.TextInput:
    """A text field for ids and keys."""
    return forms.TextInput(attrs={"class": " ".join([*widgets.INPUT_CLASSES, "mono"]), **attrs})


def autocomplete(field: "Field[Any, Any]", *, multiple: bool = False) -> forms.Widget:
    """A picker that searches while one types; `field` is any foreign key to the model that is picked from."""
    widget = AutocompleteSelectMultiple if multiple else AutocompleteSelect
    return widget(field, admin.site, attrs={"class": "unfold-admin-autocomplete"})
