"""Stored bytes as people read them: pretty JSON with its ids shortened, the exact text, a hex dump; bounded. Pure.

Nothing of the bytes is trusted: characters that would change how the page around them reads are shown as pictures, and
every piece of text is escaped where it becomes markup.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

SHOWN_BYTES: Final = 65_536
HEX_BYTES: Final = 4096
_WIDTH: Final = 8
_PICTURES: Final = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {
    0x7F: 0x2421,
    **dict.fromkeys((0x200E, 0x200F, 0x061C, *range(0x202A, 0x202F), *range(0x2066, 0x206A)), 0xFFFD),
}
_ID = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}")
_TOKEN = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*")(?=\s*:)|(?P<text>"(?:[^"\\]|\\.)*")|(?P<number>-?\d[\d.eE+-]*)|(?P<word>true|false|null)'
)
_CLASSES: Final = {"key": "y", "text": "s", "number": "n", "word": "n"}


def pretty(body: bytes) -> SafeString | None:
    """Indented and coloured JSON; None where the bytes are not JSON, or too many to be shown."""
    if len(body) > SHOWN_BYTES:
        return None
    try:
        document = json.loads(body)
        text = json.dumps(_shortened(document), indent=2, ensure_ascii=False).translate(_PICTURES)
    except (ValueError, RecursionError):  # not JSON, or nested deeper than anybody could read
        return None
    return format_html_join("", "{}", ((piece,) for piece in _coloured(text)))


def raw(body: bytes) -> str:
    """The exact text; what is not UTF-8 is shown as escapes."""
    return body[:SHOWN_BYTES].decode("utf-8", "backslashreplace").translate(_PICTURES)


def hexdump(body: bytes) -> str:
    """Offsets, bytes and letters of the first HEX_BYTES."""
    rows = []
    for start in range(0, min(len(body), HEX_BYTES), _WIDTH):
        row = body[start : start + _WIDTH]
        letters = "".join(chr(one) if 32 <= one < 127 else "." for one in row)
        rows.append(f"{start:04x}  {row.hex(' '):<{3 * _WIDTH - 1}}  {letters}")
    return "\n".join(rows)


def short_id(text: str) -> str:
    """`0f6c1d52…4a92`."""
    return f"{text[:8]}…{text[-4:]}" if _ID.fullmatch(text) else text


def _shortened(value: object, name: str = "") -> object:
    if isinstance(value, dict):
        return {key: _shortened(one, str(key)) for key, one in value.items()}
    if isinstance(value, list):
        return [_shortened(one) for one in value]
    if isinstance(value, str):
        if name == "signature" and len(value) > 24:
            return f"{value[:14]}…{value[-6:]}"
        return short_id(value)
    return value


def _coloured(text: str) -> Iterator[SafeString | str]:
    end = 0
    for found in _TOKEN.finditer(text):
        yield text[end : found.start()]
        yield format_html('<span class="{}">{}</span>', _CLASSES[str(found.lastgroup)], found.group())
        end = found.end()
    yield text[end:]
