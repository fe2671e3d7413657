"""How the states of this room are drawn: link, connection mode, switches, severities, dispositions."""

from collections.abc import Mapping

from django.utils.safestring import SafeString

from plants.admin.marks import Family, Look, chip
from plants.models import Connection, ConnectionMode, Disposition, LinkState

LINK_LOOKS: Mapping[str, Look] = {
    LinkState.CONNECTING: Look(icon="sync", word="Connecting", family=Family.MOVE),
    LinkState.CONNECTED: Look(icon="link", word="Connected", family=Family.OK),
    LinkState.SILENT: Look(icon="hearing_disabled", word="Silent", family=Family.DOUBT),
    LinkState.BLOCKED: Look(icon="block", word="Blocked", family=Family.DOUBT),
    LinkState.SLOW: Look(icon="hourglass_top", word="Slow", family=Family.FAIL),
    LinkState.REFUSED: Look(icon="gpp_bad", word="Refused", family=Family.FAIL),
    LinkState.DOWN: Look(icon="link_off", word="Down", family=Family.FAIL),
}
_NO_PROCESS = Look(icon="circle", word="No process", family=Family.WAIT)

MODE_LOOKS: Mapping[str, Look] = {
    ConnectionMode.OBSERVE: Look(icon="visibility", word="Observe", family=Family.WAIT),
    ConnectionMode.ACTIVE: Look(icon="bolt", word="Active", family=Family.OK),
}
SEVERITY_LOOKS: Mapping[str, Look] = {
    "INFO": Look(icon="info", word="Info", family=Family.MOVE),
    "WARNING": Look(icon="warning", word="Warning", family=Family.DOUBT),
    "ERROR": Look(icon="report", word="Error", family=Family.FAIL),
    "CRITICAL": Look(icon="dangerous", word="Critical", family=Family.CRIT),
}
DISPOSITION_LOOKS: Mapping[str, Look] = {
    Disposition.APPLIED: Look(icon="check", word="Applied", family=Family.OK),
    Disposition.NO_CHANGE: Look(icon="equal", word="No change", family=Family.WAIT),
    Disposition.FOREIGN: Look(icon="call_split", word="Foreign", family=Family.WAIT),
    Disposition.UNKNOWN_TYPE: Look(icon="help", word="Unknown type", family=Family.DOUBT),
}


def mode_chip(connection: Connection) -> SafeString:
    """OBSERVE or ACTIVE; an active connection whose dispatch is off says so."""
    if connection.mode == ConnectionMode.ACTIVE and not connection.dispatch_enabled:
        return chip(Look(icon="pause_circle", word="Active, dispatch off", family=Family.DOUBT))
    return chip(MODE_LOOKS[connection.mode])


def switch_chip(*, enabled: bool) -> SafeString:
    """The dispatch switch of an installation, a connection or a plant."""
    if enabled:
        return chip(Look(icon="toggle_on", word="Dispatch on", family=Family.OK))
    return chip(Look(icon="toggle_off", word="Dispatch off", family=Family.DOUBT))


def severity_chip(severity: str) -> SafeString:
    """A known severity by shape and colour; a word of Voke's own as a grey square."""
    return chip(SEVERITY_LOOKS.get(severity) or Look(icon="square", word=severity[:40], family=Family.WAIT))


def link_chip(state: LinkState, code: str) -> SafeString:
    """The state of a link or of its half; nobody serving it is no state of a link, and said as such."""
    look = _NO_PROCESS if code == "NO_PROCESS" else LINK_LOOKS[state]
    return chip(look, title=code)


def plain_error(text: str) -> str:
    """The reason behind a link error without its code: `ACCESS_REFUSED: login was refused` -> `Login was refused`."""
    code, colon, rest = text.partition(": ")
    told = rest if colon and code.replace("_", "").isupper() else text
    return told[:1].upper() + told[1:]
