"""Who looks at a page: a signed-in person, the organisation whose things it shows, and what they may do there.

Everything a view reads is filtered by `request.viewer.organisation`; another organisation's id is answered as one that
does not exist. Staff of the installation belong to no organisation: they choose one, and what they do there is audited
as theirs.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, wraps
from typing import Any, Concatenate, ParamSpec
from urllib.parse import urlsplit, urlunsplit

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict
from django.shortcuts import redirect, render, resolve_url
from django.utils.cache import add_never_cache_headers

from dispatch.requests import Actor
from people.models import AuditEntry
from people.rights import Right, Role, least_role, may
from people.services.audit import record
from plants.models import Organisation, User
from plants.selectors.plants import zone_of_organisation
from plants.texts import storable_text
from trading_api.limits import request_address

CHOSEN = "console.organisation"
"""Session key: the organisation that a person of the staff looks at."""
_P = ParamSpec("_P")


@dataclass(frozen=True, kw_only=True)
class Viewer:
    """The person behind a request, within one organisation."""

    user: User
    organisation: Organisation
    address: str

    @property
    def role(self) -> Role:
        """The person's role; staff count as admins."""
        return Role.ADMIN if self.user.organisation_id is None else Role(self.user.role)

    @cached_property
    def zone(self) -> str:
        """The organisation's wall clock, an IANA zone; read from the database when it is asked for."""
        return zone_of_organisation(self.organisation.pk)

    @property
    def name(self) -> str:
        """How the person is called where it is told who did something."""
        return self.user.get_full_name() or self.user.get_username()

    @property
    def initials(self) -> str:
        """One or two letters for the person's mark."""
        words = self.name.replace(".", " ").replace("_", " ").split()
        return "".join(word[0] for word in words[:2]).upper()

    @property
    def role_word(self) -> str:
        """The role in one word."""
        return self.role.label.split(":")[0]

    @property
    def is_staff(self) -> bool:
        """Whether this is staff of the installation, who belong to no organisation."""
        return self.user.organisation_id is None

    @property
    def actor(self) -> Actor:
        """The person as services take them."""
        return Actor(name=self.name, user=self.user)

    def may(self, right: Right) -> bool:
        """Whether the person has a right here."""
        return may(self.user, right)

    @property
    def may_act(self) -> bool:
        """For templates: may send, publish, override, stop, work on alarms."""
        return self.may(Right.ACT)

    @property
    def may_connect(self) -> bool:
        """For templates: may change connections and credentials, decide updates."""
        return self.may(Right.CONNECT)

    @property
    def may_manage(self) -> bool:
        """For templates: may manage people."""
        return self.may(Right.MANAGE)

    def record(
        self,
        action: str,
        *,
        at: datetime,
        subject: str = "",
        subject_path: str = "",
        reason: str = "",
        before: Mapping[str, Any] | None = None,
        after: Mapping[str, Any] | None = None,
    ) -> AuditEntry:
        """Write down what the person does; call it in the transaction of the act."""
        return record(
            user=self.user,
            organisation_id=self.organisation.pk,
            action=action,
            at=at,
            subject=subject,
            subject_path=subject_path,
            reason=reason,
            before=before,
            after=after,
            address=self.address,
        )


class ConsoleRequest(HttpRequest):
    """A request that passed `page`."""

    viewer: Viewer


_View = Callable[Concatenate[ConsoleRequest, _P], HttpResponseBase]


def page(right: Right = Right.SEE) -> Callable[[_View[_P]], Callable[Concatenate[Any, _P], HttpResponseBase]]:
    """A view for signed-in people with this right; sets `request.viewer`.

    Others are led to the sign-in, to the choice of an organisation, or told inside the frame which role it takes.
    """

    def wrap(view: _View[_P]) -> Callable[Concatenate[Any, _P], HttpResponseBase]:
        @wraps(view)
        def guarded(request: ConsoleRequest, /, *args: _P.args, **kwargs: _P.kwargs) -> HttpResponseBase:
            user = request.user
            if not isinstance(user, User):
                return to_sign_in(request)
            organisation = organisation_of(request, user)
            if organisation is None:
                return _elsewhere(request, resolve_url("console:account:choose"))
            _clean(request)
            request.viewer = Viewer(
                user=user, organisation=organisation, address=request_address(request.META) or ""
            )
            if not may(user, right):
                words = {"role": least_role(right).label.split(":")[0], "yours": request.viewer.role_word}
                return _unkept(render(request, "console/no_right.html", words, status=403))
            return _unkept(view(request, *args, **kwargs))

        return guarded

    return wrap


def organisation_of(request: HttpRequest, user: User) -> Organisation | None:
    """The organisation that the person looks at: their own, for staff the chosen or the only one."""
    if user.organisation_id is not None:
        return user.organisation
    if not user.is_staff:
        return None
    chosen = request.session.get(CHOSEN)
    if chosen is not None:
        return Organisation.objects.filter(pk=chosen).first()
    first = list(Organisation.objects.order_by("pk")[:2])
    return first[0] if len(first) == 1 else None


def _clean(request: HttpRequest) -> None:
    """Replace U+0000 in what was asked: no database takes it as text, so no view shall have to think of it."""
    if "%00" in request.META.get("QUERY_STRING", "") or "\0" in request.META.get("QUERY_STRING", ""):
        request.GET = _cleaned(request.GET)  # type: ignore[assignment]
    if request.method == "POST" and any(
        "\0" in str(text) for _, texts in request.POST.lists() for text in texts
    ):
        request.POST = _cleaned(request.POST)  # type: ignore[assignment]


def _cleaned(asked: QueryDict) -> QueryDict:
    clean = asked.copy()
    for name, texts in asked.lists():
        clean.setlist(name, [storable_text(text) for text in texts])
    clean._mutable = False
    return clean


def _unkept(response: HttpResponseBase) -> HttpResponseBase:
    """Nobody keeps a page: after the sign-out it is not there behind the browser's back button, and a part that htmx
    asked for never stands in for the page of the same address."""
    if not response.has_header("Cache-Control"):
        add_never_cache_headers(response)
    return response


def to_sign_in(request: HttpRequest) -> HttpResponse:
    """The way to the sign-in, and back afterwards: for a script to the page that it is on."""
    if not request.headers.get("HX-Request"):
        return redirect_to_login(request.get_full_path())
    page = urlsplit(request.headers.get("HX-Current-URL", ""))
    onward = urlunsplit(("", "", page.path, page.query, ""))
    address = redirect_to_login(onward)["Location"] if onward else resolve_url(settings.LOGIN_URL)
    return _elsewhere(request, address)


def _elsewhere(request: HttpRequest, address: str) -> HttpResponse:
    if request.headers.get("HX-Request"):
        return HttpResponse(status=204, headers={"HX-Redirect": address})
    return redirect(address)
