"""Reads docker-compose.yml as Compose does: variables, names passed through, profiles, dependencies, durations.

Only what the file uses. An unknown form raises, so that the file can't outgrow its reader unnoticed.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).resolve().parent.parent.parent / "docker-compose.yml"
COMPLETED = "service_completed_successfully"
HEALTHY = "service_healthy"
_VARIABLE = re.compile(
    r"\$(?:(\$)|([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)(?:(:[-?+])([^{}]*))?\})"
)
_DURATION = re.compile(r"(?:(\d+)m)?(?:(\d+)s)?")


class MissingVariable(ValueError):
    """A variable that the file requires is not set, or empty."""


def interpolated(text: str, variables: Mapping[str, str]) -> str:
    """`$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME:?message}`, `${NAME:+replacement}` and `$$` replaced."""

    def value(found: re.Match[str]) -> str:
        dollar, plain, braced, operator, word = found.groups()
        if dollar:
            return "$"
        given = variables.get(plain or braced, "")
        match operator:
            case None:
                return given
            case ":-":
                return given or word
            case ":+":
                return word if given else ""
            case _ if given:
                return given
        raise MissingVariable(f"{braced}: {word}")

    if "$" in _VARIABLE.sub("", text):
        raise ValueError(f"no form of a variable that this reader knows: {text!r}")
    return _VARIABLE.sub(value, text)


def _interpolated(node: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(node, str):
        return interpolated(node, variables)
    if isinstance(node, list):
        return [_interpolated(item, variables) for item in node]
    if isinstance(node, dict):
        return {key: _interpolated(value, variables) for key, value in node.items()}
    return node


def seconds(duration: str) -> float:
    """`2m10s` as 130."""
    found = _DURATION.fullmatch(duration)
    if not duration or found is None:
        raise ValueError(f"no duration: {duration!r}")
    return 60 * int(found[1] or 0) + int(found[2] or 0)


@dataclass(frozen=True, kw_only=True)
class Service:
    """One service; `raw` is what the file says after interpolation."""

    name: str
    raw: Mapping[str, Any]
    environment: Mapping[str, str]

    @property
    def command(self) -> list[str]:
        """The command's words; empty where the image's own command runs."""
        return list(self.raw.get("command", []))

    @property
    def is_ours(self) -> bool:
        """Runs our image."""
        return "build" in self.raw

    @property
    def is_one_shot(self) -> bool:
        """Runs to its end; everything else runs until it is stopped."""
        return "healthcheck" not in self.raw

    @property
    def needs(self) -> Mapping[str, Mapping[str, Any]]:
        """Service -> condition."""
        needs: Mapping[str, Mapping[str, Any]] = self.raw.get("depends_on", {})
        return needs

    @property
    def health_command(self) -> list[str]:
        """The words of the health check."""
        kind, *words = map(str, self.raw["healthcheck"]["test"])
        if kind == "CMD":
            return words
        if kind == "CMD-SHELL" and len(words) == 1:
            return ["/bin/sh", "-c", words[0]]
        raise ValueError(f"{self.name}: health check of an unknown form")

    @property
    def health_timeout_s(self) -> float:
        return seconds(self.raw["healthcheck"]["timeout"])

    @property
    def stop_grace_s(self) -> float:
        return seconds(self.raw["stop_grace_period"])

    @property
    def mounts(self) -> Mapping[str, tuple[str, bool]]:
        """Path in the container -> (volume, whether read-only)."""
        found = {}
        for text in self.raw.get("volumes", []):
            volume, target, *mode = text.split(":")
            if mode not in ([], ["ro"]):
                raise ValueError(f"{self.name}: volume of an unknown form: {text}")
            found[target] = (volume, bool(mode))
        return found


@dataclass(frozen=True, kw_only=True)
class Compose:
    """The file under one set of variables."""

    raw: Mapping[str, Any]
    services: Mapping[str, Service]

    def active(self, *profiles: str) -> list[Service]:
        """Services of these profiles and of none, in waves: none before what it needs."""
        chosen = {
            name: service
            for name, service in self.services.items()
            if not service.raw.get("profiles") or set(service.raw["profiles"]) & set(profiles)
        }
        return list(_in_waves(chosen))


def _in_waves(chosen: Mapping[str, Service]) -> Iterator[Service]:
    done: set[str] = set()
    while len(done) < len(chosen):
        wave = [
            service
            for name, service in chosen.items()
            if name not in done and all(need in done for need in _present(service, chosen))
        ]
        if not wave:
            raise ValueError("services wait for each other")
        yield from wave
        done |= {service.name for service in wave}


def _present(service: Service, chosen: Mapping[str, Service]) -> list[str]:
    """What a service waits for; Compose refuses a required one that no active profile has."""
    for need, condition in service.needs.items():
        if need not in chosen and condition.get("required", True):
            raise ValueError(f"{service.name} needs {need}, which no active profile has")
    return [need for need in service.needs if need in chosen]


def read_compose(variables: Mapping[str, str]) -> Compose:
    """The file with `variables` (`.env` and shell together); raises MissingVariable."""
    raw = _interpolated(yaml.safe_load(FILE.read_text(encoding="utf-8")), variables)
    services = {
        name: Service(name=name, raw=body, environment=_environment(body, variables))
        for name, body in raw["services"].items()
    }
    return Compose(raw=raw, services=services)


def _environment(body: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, str]:
    """A name without a value is passed through when it is set, and stays unset when it is not."""
    given = {
        name: variables.get(name) if value is None else str(value)
        for name, value in body.get("environment", {}).items()
    }
    return {name: value for name, value in given.items() if value is not None}
