"""One line of what is said for or against a request, and how lines are made."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One line under the form. `family`: ok, doubt, fail, wait; `use`: the nearest amount that fits."""

    family: str
    icon: str
    text: str
    use: str = ""
    code: str = ""


def fails(text: str, *, code: str, use: str = "") -> Finding:
    """What a service refuses."""
    return Finding(family="fail", icon="octagon-x", text=text, code=code, use=use)


def fits(text: str) -> Finding:
    """What was looked at and is well."""
    return Finding(family="ok", icon="check", text=text)


def doubts(text: str, icon: str = "triangle-alert") -> Finding:
    """What a person should know before sending; nothing refuses it."""
    return Finding(family="doubt", icon=icon, text=text)


def tells(text: str, icon: str) -> Finding:
    """What is so."""
    return Finding(family="wait", icon=icon, text=text)
