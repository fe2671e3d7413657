"""Every route of the console with the right that it takes: a new route fails until it has a row here.

A row says who may GET and who may POST: `see`, `act`, `connect`, `manage` (the rights of roles), `person` (anybody who
is signed in), `door` (anybody at all), `-` (the method is not allowed).
"""

import re
from collections.abc import Iterator, Mapping

from people.rights import Role
from tests.hostile.routes import Route, every_route

LEAST: Mapping[str, Role] = {
    "see": Role.VIEWER,
    "act": Role.OPERATOR,
    "connect": Role.ENGINEER,
    "manage": Role.ADMIN,
}
"""The least role that has a right."""
_LINES = """
home                     see      see
find                     see      see
live                     see      -
fleet:list               see      -
fleet:top                see      -
fleet:day                see      -
fleet:rows               see      -
fleet:export             see      -
fleet:peek               see      -
fleet:emergency          act      act
fleet:orders             see      -
fleet:order              see      -
fleet:release            act      act
plant:page               see      see
plant:day                see      see
plant:now                see      see
plant:last               see      see
plant:config             see      see
plant:alarms             see      see
plant:meter              see      see
plant:history            see      see
acting:page              see      -
acting:box               see      -
acting:rows              see      -
acting:banner            see      -
acting:sent              see      -
acting:emergency         act      act
acting:release           act      act
acting:extend            act      act
acting:end               act      act
acting:check             -        act
acting:dry               -        act
acting:review            -        act
acting:send              -        act
plans:list               see      -
plans:start              act      -
plans:import             act      act
plans:import_preview     act      act
plans:today              see      -
plans:day                see      -
plans:check              -        act
plans:save               -        act
plans:state              see      -
plans:versions           see      -
plans:export             see      -
plans:review             -        act
plans:publish            -        act
plans:copy               act      act
plans:fill               -        act
plans:discard            act      act
plans:cancel             act      act
commands:list            see      see
commands:rows            see      see
commands:news            see      see
commands:command         see      see
commands:proof           see      see
commands:record          see      see
commands:record-file     see      see
commands:cancel          act      act
commands:check           act      act
alarms:list              see      see
alarms:changed           see      see
alarms:close_cleared     -        act
alarms:case              see      see
alarms:chart             see      see
alarms:acknowledge       -        act
alarms:take_back         -        act
alarms:assign            -        act
alarms:comment           -        act
alarms:close             -        act
alarms:reopen            -        act
reverse:overview         see      -
reverse:journal          see      -
reverse:day              see      -
reverse:behind           see      -
reverse:pull             see      -
reverse:decide           connect  connect
connect:list             see      -
connect:new              connect  connect
connect:read             -        connect
connect:detail           see      -
connect:bundle           connect  connect
connect:check            connect  connect
connect:check_lines      connect  -
connect:sites            connect  connect
connect:sites_lines      connect  -
connect:reverse          connect  -
connect:switch           connect  connect
connect:credentials      connect  -
connect:issue            -        connect
connect:credential       connect  connect
account:login            door     door
account:code             door     door
account:welcome          door     -
account:logout           -        door
account:link             door     door
account:choose           person   person
account:own              person   -
account:theme            -        person
account:password         -        person
account:end_session      -        person
account:acts             person   -
account:second_factor    person   -
account:factor_start     -        person
account:factor_confirm   -        person
account:factor_remove    -        person
account:factor_codes     -        person
account:people           manage   -
account:invite           -        manage
account:withdraw         -        manage
account:person           manage   -
account:change           -        manage
account:audit            manage   -
account:audit_export     manage   -
kit:kit                  see      see
"""
ROWS: Mapping[str, tuple[str, str]] = {
    f"console:{name}": (get, post)
    for name, get, post in (line.split() for line in _LINES.split("\n") if line)
}
WORDS = {"tab": "setpoint", "word": "activate", "act": "role", "secret": "no-such-link", "day": "2026-01-02"}
"""Values for what is no row of the database; `word` where a route knows other words is in `OTHER_WORDS`."""
OTHER_WORDS = {"console:reverse:decide": "approve", "console:connect:credential": "renew"}
_PARAMETER = re.compile(r"<(?:[a-z_]+:)?([a-z_]+)>")


def console_routes() -> list[Route]:
    """As the URL conf has them."""
    return [route for route in every_route() if route.pattern.startswith("console/")]


def walked() -> Iterator[tuple[Route, str, str]]:
    """(route, method, right) of everything that is allowed at all."""
    for route in console_routes():
        for method, right in zip(("get", "post"), ROWS[route.name], strict=True):
            if right != "-":
                yield route, method, right


def parameters(route: Route) -> list[str]:
    """The names of what stands in its path."""
    return _PARAMETER.findall(route.pattern)


def keys_of(route: Route) -> list[str]:
    """Those of them that name a row of the database."""
    return [name for name in parameters(route) if name.endswith("_id")]


def address(route: Route, keys: Mapping[str, object]) -> str:
    """Its path with these keys of rows."""
    words = {**WORDS, "word": OTHER_WORDS.get(route.name, WORDS["word"])}
    return "/" + _PARAMETER.sub(lambda found: str({**words, **keys}[found[1]]), route.pattern)
