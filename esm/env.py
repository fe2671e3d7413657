"""Settings from the environment: every value is checked when the process starts, a wrong one refuses to start.

Each reader takes the variable's name, looks at `NAME` and then at `NAME_FILE` (the path of a file that holds the value,
as container secrets are mounted) and raises `SettingError` with the name and the reason. Values never appear in the
message: they may be secrets.
"""

import base64
import binascii
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off"}
MIN_KEY_BYTES = 32


class SettingError(ImproperlyConfigured):
    """A setting is missing or wrong; the text starts with its name."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"{name}: {reason}")
        self.name = name


class Env:
    """Typed reader over one environment mapping (`os.environ` in production)."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ: Mapping[str, str] = os.environ if environ is None else environ

    def raw(self, name: str) -> str | None:
        """The text of `NAME`, else of the file named by `NAME_FILE`, else None; both at once is refused."""
        value = self._environ.get(name)
        path = self._environ.get(f"{name}_FILE")
        if value and path:
            raise SettingError(name, f"set either {name} or {name}_FILE, not both")
        if not path:
            return value or None
        try:
            return Path(path).read_text(encoding="utf-8").strip() or None
        except (OSError, UnicodeDecodeError) as error:
            raise SettingError(f"{name}_FILE", f"cannot be read: {type(error).__name__}") from error

    def text(self, name: str, default: str | None = None) -> str:
        """A text; without a default the variable is required."""
        value = self.raw(name)
        if value is not None:
            return value
        if default is None:
            raise SettingError(name, "is required but not set")
        return default

    def integer(self, name: str, default: int, *, low: int, high: int) -> int:
        """A whole number within [low, high]."""
        value = self.raw(name)
        if value is None:
            return default
        try:
            number = int(value)
        except ValueError as error:
            raise SettingError(name, "must be a whole number") from error
        if not low <= number <= high:
            raise SettingError(name, f"must be between {low} and {high}")
        return number

    def number(self, name: str, default: float, *, low: float, high: float) -> float:
        """A finite number within [low, high]."""
        value = self.raw(name)
        if value is None:
            return default
        try:
            number = float(value)
        except ValueError as error:
            raise SettingError(name, "must be a number") from error
        if not low <= number <= high:  # also refuses NaN
            raise SettingError(name, f"must be between {low:g} and {high:g}")
        return number

    def boolean(self, name: str, default: bool) -> bool:
        """One of 1/0, true/false, yes/no, on/off."""
        value = self.raw(name)
        if value is None:
            return default
        word = value.lower()
        if word in _TRUE or word in _FALSE:
            return word in _TRUE
        raise SettingError(name, "must be one of true, false, yes, no, on, off, 1, 0")

    def choice(self, name: str, default: str, options: Sequence[str]) -> str:
        """One of the given words."""
        value = self.text(name, default)
        if value not in options:
            raise SettingError(name, f"must be one of {', '.join(options)}")
        return value

    def words(self, name: str, default: Sequence[str] = ()) -> list[str]:
        """A comma-separated list without empty members."""
        value = self.raw(name)
        return list(default) if value is None else [word.strip() for word in value.split(",") if word.strip()]

    def versioned_keys(self, name: str) -> dict[str, bytes]:
        """`v2:BASE64,v1:BASE64`: version -> key of at least 32 bytes, the first being the current one."""
        keys: dict[str, bytes] = {}
        for word in self.words(name):
            version, _, material = word.partition(":")
            if not version.isalnum() or version in keys:
                raise SettingError(name, "each key needs its own version, written VERSION:BASE64")
            keys[version] = decode_key(name, material)
        if not keys:
            raise SettingError(
                name, "is required: VERSION:BASE64 of 32 random bytes, comma-separated, newest first"
            )
        return keys

    def database(self, name: str, default: str) -> dict[str, object]:
        """A Django DATABASES entry from `postgres://…` or `sqlite:///PATH`."""
        try:
            url = urlsplit(self.text(name, default))
            port = url.port
        except ValueError:  # whose text quotes the address, password and all
            raise SettingError(name, "is not an address, or has a port that is not a number") from None
        if url.scheme == "sqlite":
            return {"ENGINE": "esm.sqlite", "NAME": unquote(url.path[1:]) or ":memory:"}
        if url.scheme not in {"postgres", "postgresql"}:
            raise SettingError(name, "must start with postgres:// or sqlite:///")
        if not url.path.strip("/"):
            raise SettingError(name, "names no database: postgres://user:password@host:port/DATABASE")
        query = dict(parse_qsl(url.query))
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(url.path[1:]),
            "USER": unquote(url.username or ""),
            "PASSWORD": self.text("DATABASE_PASSWORD", unquote(url.password or "")),
            "HOST": query.pop("host", unquote(url.hostname or "")),
            "PORT": str(port or ""),
            "OPTIONS": dict(query),
        }


def decode_key(name: str, material: str) -> bytes:
    """Key bytes from base64 (standard or URL-safe alphabet, padding optional)."""
    text = material.strip().replace("-", "+").replace("_", "/")
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise SettingError(name, "holds a key that is not base64") from error
    if len(key) < MIN_KEY_BYTES:
        raise SettingError(name, f"holds a key shorter than {MIN_KEY_BYTES} bytes")
    return key
