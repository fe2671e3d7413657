"""Instants with their year: what people decide here reaches back far."""

from datetime import UTC, datetime

from django.utils.html import format_html
from django.utils.safestring import SafeString

from plants.admin.marks import zone_of


def dated(at: datetime, *, zone: str | None = None) -> SafeString:
    """`2025-03-01 00:00 UTC`; on a plant's wall clock to the second, and the title tells it in UTC."""
    utc = at.astimezone(UTC)
    text = f"{at.astimezone(zone_of(zone)):%Y-%m-%d %H:%M:%S}" if zone else f"{utc:%Y-%m-%d %H:%M} UTC"
    title = f"{utc:%Y-%m-%d %H:%M:%S} UTC" + (f", shown in {zone}" if zone else "")
    return format_html('<time datetime="{}" title="{}">{}</time>', utc.isoformat(), title, text)
