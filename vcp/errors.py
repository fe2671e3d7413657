"""Every way in which a message can fail the protocol: one class per failure, each with a stable code.

`path` names the guilty field in wire names (`payload.commands[2].deviceId`); "" is the whole message.
"""

from typing import ClassVar, Self

from vcp.said import Said

_MAX_TEXT = 300


class ProtocolError(ValueError):
    """A message or value breaks the wire protocol.

    `code` is stable, `path` is the guilty field in wire names, `detail` is for people. All three can be logged
    and stored whatever the peer sent: they are short, printable, without NUL and lone surrogates. `words` are the
    detail as pages say it in their language.
    """

    code: ClassVar[str] = "PROTOCOL_ERROR"

    def __init__(self, detail: str, *, path: str = "") -> None:
        super().__init__(str(detail), path)
        self.words = _storable_words(detail)
        self.detail = str(self.words)
        self.path = _storable(path)

    def __str__(self) -> str:
        return f"{self.code} at {self.path}: {self.detail}" if self.path else f"{self.code}: {self.detail}"

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.words, self.path))

    def under(self, prefix: str) -> Self:
        """The same failure, its path read from an enclosing object: `deviceId` under `commands[2]`."""
        return type(self)(self.words, path=join_path(prefix, self.path))


def _storable_words(text: str) -> Said:
    """Each of its facts storable, and the whole: a sentence that is too long is only its beginning."""
    words = text.with_texts(_storable) if isinstance(text, Said) else Said(_storable(text))
    whole = _storable(words)
    return words if whole == words else Said(whole)


def _storable(text: str) -> str:
    if len(text) > _MAX_TEXT:
        text = text[: _MAX_TEXT - 1] + "…"
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)


def _rebuild(kind: type[ProtocolError], detail: str, path: str) -> ProtocolError:
    return kind(detail, path=path)


def join_path(prefix: str, path: str) -> str:
    """Join two field paths: `payload` + `[0].x` = `payload[0].x`, `payload` + `x` = `payload.x`."""
    path = path.removeprefix(".")
    if not prefix or not path or path.startswith("["):
        return prefix + path
    return f"{prefix}.{path}"


class MalformedJson(ProtocolError):
    """The bytes are no JSON document (also: a byte order mark, UTF-16, an empty body)."""

    code = "MALFORMED_JSON"


class NotAnObject(ProtocolError):
    """The document is JSON, yet not an object."""

    code = "NOT_AN_OBJECT"


class TooDeep(ProtocolError):
    """Objects and arrays are nested deeper than MAX_DEPTH (or contain themselves)."""

    code = "TOO_DEEP"


class DuplicateKey(ProtocolError):
    """One object names a key twice, so signer and verifier could read different values."""

    code = "DUPLICATE_KEY"


class InvalidNumber(ProtocolError):
    """NaN, an infinity, a number no double can hold, or a typed number beyond +/-(2^53-1)."""

    code = "INVALID_NUMBER"


class InvalidText(ProtocolError):
    """Text that no peer can store or echo: bad UTF-8, a NUL, a lone surrogate."""

    code = "INVALID_TEXT"


class MissingField(ProtocolError):
    """A required field is absent."""

    code = "MISSING_FIELD"


class WrongType(ProtocolError):
    """A value of the wrong JSON type, or a Python value that JSON can't carry."""

    code = "WRONG_TYPE"


class InvalidValue(ProtocolError):
    """Right type, broken constraint: range, length, pattern, closed vocabulary, relation of fields."""

    code = "INVALID_VALUE"


class UnsupportedVersion(ProtocolError):
    """The envelope's `version` is not the one this project speaks."""

    code = "UNSUPPORTED_VERSION"


class InvalidTimestamp(ProtocolError):
    """A time in any form but ISO 8601 UTC with `Z`, or a time without zone on the way out."""

    code = "INVALID_TIMESTAMP"


class InvalidSignatureAlgo(ProtocolError):
    """`signatureAlgo` is present and not HMAC-SHA256."""

    code = "INVALID_SIGNATURE_ALGO"


class InvalidSigningKey(ProtocolError):
    """The signing key can't be decoded. The key itself is never part of the error."""

    code = "INVALID_SIGNING_KEY"


class InvalidCommand(ProtocolError):
    """Well-formed, yet unsupported for the asset or lacking a parameter: Voke's INVALID_COMMAND."""

    code = "INVALID_COMMAND"


class UnroutableKey(ProtocolError):
    """A routing key, prefix or queue name that can't be built."""

    code = "UNROUTABLE_KEY"


class InvalidBundle(ProtocolError):
    """A connection bundle or AMQPS address that can't be used. Secrets are never part of the error."""

    code = "INVALID_BUNDLE"
