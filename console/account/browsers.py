"""A browser and its system in words, from what it says of itself: for a list of sessions, nothing is decided by it."""

import re

from django.utils.translation import gettext as _

# The first that matches: others call themselves by the names of those further down, too.
_BROWSERS = (
    (re.compile(r"\bEdgA?/|\bEdgiOS/"), "Edge"),
    (re.compile(r"\bOPR/"), "Opera"),
    (re.compile(r"\bFirefox/|\bFxiOS/"), "Firefox"),
    (re.compile(r"\bHeadlessChrome/|\bChrome/|\bCriOS/|\bChromium/"), "Chrome"),
    (re.compile(r"\bSafari/"), "Safari"),
    (re.compile(r"^curl/"), "curl"),
)
_SYSTEMS = (
    (re.compile(r"\biPhone\b"), "iPhone"),
    (re.compile(r"\biPad\b"), "iPad"),
    (re.compile(r"\bAndroid\b"), "Android"),
    (re.compile(r"\bWindows\b"), "Windows"),
    (re.compile(r"\bMac OS X\b|\bMacintosh\b"), "macOS"),
    (re.compile(r"\bCrOS\b"), "ChromeOS"),
    (re.compile(r"\bLinux\b"), "Linux"),
)


def browser_words(user_agent: str) -> str:
    """`Firefox, Windows`; what is not known is said to be unknown."""
    agent = user_agent[:400]
    browser = next((name for pattern, name in _BROWSERS if pattern.search(agent)), "")
    system = next((name for pattern, name in _SYSTEMS if pattern.search(agent)), "")
    return ", ".join(word for word in (browser, system) if word) or _("Unknown browser")
