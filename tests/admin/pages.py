"""Addresses of admin pages, and the text of an answer as a person reads it."""

import html
import re
from typing import Any

from django.urls import reverse

_INVISIBLE = re.compile(r"<(script|style|svg)\b.*?</\1>|<!--.*?-->", re.S)


def page(name: str, *args: Any) -> str:
    """`page("plants_plant_change", 5)`."""
    return reverse(f"admin:{name}", args=args)


def text_of(response: Any) -> str:
    """The words of an answer: no markup, no icons' names, single spaces."""
    body = _INVISIBLE.sub(" ", response.content.decode())
    body = re.sub(r'<span class="material-symbols-outlined[^>]*>.*?</span>', " ", body, flags=re.S)
    words = html.unescape(re.sub(r"<[^>]+>", " ", body)).replace("\u202f", " ")
    return re.sub(r" ([,.;:!?])", r"\1", re.sub(r"\s+", " ", words))


def form_data(response: Any, **changes: Any) -> dict[str, Any]:
    """What a browser would post from the change form of an answer, with some fields typed over."""
    context = response.context
    data: dict[str, Any] = {}
    forms = [context["adminform"].form]
    for inline in context.get("inline_admin_formsets") or []:
        formset = inline.formset
        forms += [formset.management_form, *formset.forms]
    for form in forms:
        for field in form:
            value = field.value()
            if isinstance(value, bool):
                if value:
                    data[field.html_name] = "on"
            elif value is not None:
                data[field.html_name] = value
    return data | changes
