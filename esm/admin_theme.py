"""The admin's frame: title, colours near the design tokens (primary is ink, not a hue), and the grouped navigation."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import reverse_lazy

_BASE = {
    "50": "#f6f7f9",
    "100": "#eef0f4",
    "200": "#e2e6ec",
    "300": "#cdd3dc",
    "400": "#8893a3",
    "500": "#5f6977",
    "600": "#47505e",
    "700": "#38414e",
    "800": "#262c36",
    "900": "#14181e",
    "950": "#0c0f13",
}
_PRIMARY = {
    "50": "#f6f7f9",
    "100": "#eef0f4",
    "200": "#e2e6ec",
    "300": "#cdd3dc",
    "400": "#8893a3",
    "500": "#12161d",
    "600": "#12161d",
    "700": "#47505e",
    "800": "#262c36",
    "900": "#14181e",
    "950": "#0c0f13",
}
_FONT = {
    "subtle-light": "#5f6977",
    "subtle-dark": "#8893a3",
    "default-light": "#47505e",
    "default-dark": "#aeb7c4",
    "important-light": "#12161d",
    "important-dark": "#e9edf3",
}
Permission = Callable[[HttpRequest], bool]


def _may(*permissions: str) -> Permission:
    """Whether a person has any of the permissions: what they can't open is not in their navigation."""

    def check(request: HttpRequest) -> bool:
        return any(request.user.has_perm(permission) for permission in permissions)

    return check


def _page(title: str, icon: str, model: str) -> dict[str, Any]:
    app, _, name = model.partition(".")
    return {
        "title": title,
        "icon": icon,
        "link": reverse_lazy(f"admin:{app}_{name}_changelist"),
        "permission": _may(f"{app}.view_{name}", f"{app}.change_{name}"),
    }


def _lists_commands(request: HttpRequest) -> bool:
    """The send page lies below the list's address and has its own entry."""
    listed = str(reverse_lazy("admin:dispatch_command_changelist"))
    return request.path.startswith(listed) and not request.path.startswith(f"{listed}send/")


def _navigation() -> list[dict[str, Any]]:
    """What is run, then what it runs on."""
    return [*_daily_work(), *_technical()]


def _daily_work() -> list[dict[str, Any]]:
    send = {
        "title": "Send a command",
        "icon": "send",
        "link": reverse_lazy("admin:dispatch_command_send"),
        "permission": _may("dispatch.send_command"),
    }
    return [
        {
            "title": "Plants",
            "items": [
                _page("Plants", "electric_meter", "plants.plant"),
                _page("Alarms", "notifications", "plants.alarm"),
                _page("Gaps", "hearing_disabled", "metering.gap"),
                _page("Register events", "swap_vert", "metering.registerevent"),
                _page("Stream periods", "timer", "metering.streamperiod"),
                _page("Config updates", "pending_actions", "trading_api.configupdaterequest"),
            ],
        },
        {
            "title": "Schedules",
            "items": [
                _page("Day plans", "calendar_view_day", "schedules.dayplan"),
                _page("Overrides", "pan_tool", "schedules.override"),
                _page("Schedule notices", "event_note", "dispatch.schedulenotice"),
            ],
        },
        {
            "title": "Commands",
            "items": [
                _page("Commands", "checklist", "dispatch.command") | {"active": _lists_commands},
                send,
                _page("Emergencies", "emergency_home", "dispatch.emergencylatch"),
                _page("Emergency orders", "crisis_alert", "dispatch.emergencyorder"),
            ],
        },
    ]


def _technical() -> list[dict[str, Any]]:
    return [
        {
            "title": "Wire",
            "items": [
                _page("Connections", "electrical_services", "plants.connection"),
                _page("Messages out", "outgoing_mail", "dispatch.outboundmessage"),
                _page("Messages in", "move_to_inbox", "plants.inboundmessage"),
                _page("Telemetry bodies", "sensors", "plants.recenttelemetrybody"),
                _page("Dead letters", "unsubscribe", "plants.deadletter"),
                _page("Published site config", "published_with_changes", "dispatch.publishedsiteconfig"),
                _page("Site reports", "difference", "dispatch.sitereport"),
                _page("Pull journal", "receipt_long", "trading_api.pulljournal"),
                _page("Credentials", "key", "trading_api.credential"),
            ],
        },
        {
            "title": "System",
            "items": [
                _page("Organisations", "corporate_fare", "plants.organisation"),
                _page("Installation", "toggle_on", "plants.installation"),
                _page("Channels", "campaign", "watch.notificationchannel"),
                _page("Notifications", "outgoing_mail", "watch.notification"),
                _page("Periodic steps", "schedule", "watch.tickrun"),
                _page("Retention holds", "lock", "metering.retentionhold"),
                _page("Audit", "manage_history", "people.auditentry"),
                _page("People", "person", "plants.user"),
                _page("Groups", "groups", "auth.group"),
            ],
        },
    ]


def unfold_settings(product_name: str) -> dict[str, Any]:
    """The theme's settings."""
    return {
        "SITE_TITLE": product_name,
        "SITE_HEADER": product_name,
        "SITE_SUBHEADER": "ESM partner platform",
        "SITE_SYMBOL": "electric_bolt",
        "SITE_FAVICONS": [
            {"rel": "icon", "type": "image/svg+xml", "href": lambda _request: static("plants/favicon.svg")}
        ],
        "SITE_URL": None,
        "SHOW_HISTORY": True,
        "SHOW_VIEW_ON_SITE": False,
        "BORDER_RADIUS": "8px",
        "COLORS": {"base": _BASE, "primary": _PRIMARY, "font": _FONT},
        "STYLES": [lambda _request: static("plants/admin.css")],
        "SCRIPTS": [lambda _request: static("plants/admin.js")],
        "DASHBOARD_CALLBACK": "trading_api.admin.attention.dashboard",
        "SIDEBAR": {"show_search": False, "show_all_applications": False, "navigation": _navigation()},
    }
