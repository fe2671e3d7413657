"""Stored bytes for people: pretty JSON where they are JSON, else text and hex; always bounded, never trusted."""

import json
from dataclasses import dataclass

from django.template.loader import render_to_string
from django.utils.safestring import SafeString

SHOWN_BYTES = 65_536
HEX_BYTES = 4096
_HEX_WIDTH = 16
# Control and direction characters would otherwise change how the page around them reads.
_PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\n\t"} | {
    0x7F: 0x2421,
    **dict.fromkeys((0x200E, 0x200F, 0x061C, *range(0x202A, 0x202F), *range(0x2066, 0x206A)), 0xFFFD),
}


@dataclass(frozen=True, kw_only=True)
class BytesView:
    """One stored body as its viewer shows it; `pretty` is empty when the bytes are not JSON."""

    pretty: str
    text: str
    hexdump: str
    size: int
    cut: bool
    hex_cut: bool


def view_of(body: bytes | memoryview) -> BytesView:
    """The three readings of a body."""
    content = bytes(body)
    head = content[:SHOWN_BYTES]
    return BytesView(
        pretty=_pretty(content),
        text=head.decode("utf-8", "backslashreplace").translate(_PICTURES),
        hexdump=_hexdump(content[:HEX_BYTES]),
        size=len(content),
        cut=len(content) > SHOWN_BYTES,
        hex_cut=len(content) > HEX_BYTES,
    )


def _pretty(content: bytes) -> str:
    if len(content) > SHOWN_BYTES:
        return ""
    try:
        document = json.loads(content)
        return json.dumps(document, indent=2, ensure_ascii=False).translate(_PICTURES)
    except (ValueError, RecursionError):  # not JSON, or nested deeper than anybody could read
        return ""


def _hexdump(content: bytes) -> str:
    rows = []
    for start in range(0, len(content), _HEX_WIDTH):
        row = content[start : start + _HEX_WIDTH]
        shown = "".join(chr(one) if 32 <= one < 127 else "." for one in row)
        rows.append(f"{start:06x}  {row.hex(' '):<{3 * _HEX_WIDTH - 1}}  {shown}")
    return "\n".join(rows)


def bytes_panel(body: bytes | memoryview) -> SafeString:
    """The viewer of a body: pretty, exact text, hex on demand."""
    return render_to_string("admin/plants/bytes.html", {"view": view_of(body)})
