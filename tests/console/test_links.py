"""Every link of every page leads somewhere: what can be reached from the fleet is walked, a few pages of each kind."""

import re
from collections import Counter, deque
from html import unescape
from urllib.parse import urldefrag, urljoin

from django.test import Client
from django.urls import Resolver404, resolve

from people.rights import Role
from plants.models import User
from tests.admin.seed import seed
from tests.console.conftest import signed_in
from tests.factories import AT

_TAG = re.compile(r"<[a-z][^>]*>", re.DOTALL)
_ATTRIBUTE = re.compile(r"\s(href|action|formaction|hx-get|hx-post|data-url|data-href|data-src)=\"([^\"]*)\"")
FINE = frozenset({200, 204, 302})
# A form takes a POST, maybe nothing else; what a script asks for may miss what the page would send along; both are
# shown to whoever may not use them, as switched off.
FINE_FOR = {"href": FINE, **dict.fromkeys(("action", "formaction", "hx-post"), FINE | {403, 405, 422})}
FINE_FOR_SCRIPTS = FINE | {403, 422}
STREAMS = frozenset({"console:live"})


def links_in(path: str, text: str) -> list[tuple[str, str]]:
    """Addresses of ours that a page names, and in which attribute."""
    named = [found for tag in _TAG.findall(text) for found in _ATTRIBUTE.findall(tag)]
    made = [(urldefrag(urljoin(path, unescape(link)))[0], name) for name, link in named]
    return [one for one in made if one[0].startswith(("/console/", "/admin/"))]


def kind_of(path: str) -> str:
    """The name of its view; "" when there is none."""
    try:
        return str(resolve(path.partition("?")[0]).view_name)
    except Resolver404:
        return ""


def walk(client: Client, *, of_each_kind: int) -> tuple[dict[str, str], Counter[str]]:
    """What went wrong by address, with the page that led there; and how many pages of each kind there are."""
    start = "/console/fleet/"
    todo, seen, kinds, wrong = deque([(start, "", "href")]), {start}, Counter[str](), {}
    while todo:
        path, came_from, named_as = todo.popleft()
        kind = kind_of(path)
        kinds[kind] += 1
        if kind and (kinds[kind] > of_each_kind or kind in STREAMS):
            continue
        answer = client.get(path)
        if answer.status_code not in FINE_FOR.get(named_as, FINE_FOR_SCRIPTS):
            wrong[path] = f"{answer.status_code} from {came_from}"
        elif not answer.streaming and answer.headers.get("Content-Type", "").startswith("text/html"):
            links = dict.fromkeys(links_in(path, answer.content.decode()))
            todo += [(link, path, name) for link, name in links if link not in seen]
            seen.update(link for link, _ in links)
    return wrong, kinds


def test_every_link_leads_somewhere(db: None) -> None:
    organisation = seed(plants=3, commands=12, journal=6, at=AT).organisations[0]

    for role, of_each_kind in ((Role.ADMIN, 2), (Role.VIEWER, 1)):
        person = User.objects.create_user(role.lower(), organisation=organisation, role=role)
        wrong, kinds = walk(signed_in(person), of_each_kind=of_each_kind)
        assert (role, wrong) == (role, {})
        assert len(kinds) > 40, kinds
