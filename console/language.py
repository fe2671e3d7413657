"""Pages of the console speak the installation's language; everything else stays in English.

What is stored, logged, announced or answered to a machine must not depend on who looks. So the language holds for
requests of the console only, and what they write down is worded by `stored`.
"""

from collections.abc import Callable
from typing import TypeVar

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils import translation

WordsT = TypeVar("WordsT")


class PageLanguageMiddleware:
    """Answers the console's requests in PAGE_LANGUAGE."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not request.path_info.startswith("/console/"):
            return self.get_response(request)
        with translation.override(settings.PAGE_LANGUAGE):
            return self.get_response(request)


def stored(words: Callable[[], WordsT]) -> WordsT:
    """Words as they are written down: in English, whoever looks."""
    with translation.override(settings.LANGUAGE_CODE):
        return words()
