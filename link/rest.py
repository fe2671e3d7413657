"""Voke's partner REST: read with a connection's API key, within limits of time and size.

What an answer means is in `link.rest_shapes`, what may come instead of one in `link.rest_errors`, when to try again in
`link.rest_retries`. Redirections are not followed: the key must not travel to another host.
"""

import ipaddress
import random
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
import msgspec

from link.names import NameRefused, NameTimeout, NameUnknown, resolve
from link.rest_errors import (
    BY_STATUS,
    RestCertificate,
    RestError,
    RestForbidden,
    RestGarbled,
    RestInsecure,
    RestNotFound,
    RestRejected,
    RestThrottled,
    RestTimeout,
    RestUnauthorized,
    RestUnavailable,
    RestUnreachable,
)
from link.rest_retries import NO_RETRIES, Retries, retry_after_s, told_at
from link.rest_shapes import (
    Site,
    SiteConfig,
    Sites,
    VokeCommand,
    logged_commands_of,
    page_of,
    site_config_of,
    site_of,
)
from vcp.said import said, told_by

__all__ = [
    "RestCertificate",
    "RestError",
    "RestForbidden",
    "RestGarbled",
    "RestInsecure",
    "RestLimits",
    "RestNotFound",
    "RestRejected",
    "RestThrottled",
    "RestTimeout",
    "RestUnauthorized",
    "RestUnavailable",
    "RestUnreachable",
    "Retries",
    "Site",
    "SiteConfig",
    "Sites",
    "VokeCommand",
    "VokeRest",
]
PAGE_SIZE = 100
MOST_PAGES = 20
MOST_PLACES = 3
"""How many of a host's addresses are tried."""
_AGENT = "esm-partner-platform"
_LONGEST_CODE = 60
_PRIVATE = [
    ipaddress.ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
]


@dataclass(frozen=True, kw_only=True)
class RestLimits:
    """`connect_s`: reaching the host, `read_s`: each wait for bytes, `total_s`: a whole answer, `bytes`: its size."""

    connect_s: float = 5.0
    read_s: float = 10.0
    total_s: float = 20.0
    bytes: int = 5 * 1024 * 1024


class VokeRest:
    """Reads below one base address with one key; not thread-safe. Close it, or use it with `with`.

    `retries`: none by default; `pause` waits so many seconds and answers True when it is better to give up.
    """

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        ca_file: str | None = None,
        limits: RestLimits | None = None,
        retries: Retries = NO_RETRIES,
        pause: Callable[[float], bool] | None = None,
        rng: random.Random | None = None,
    ) -> None:
        self._limits = limits or RestLimits()
        self._retries = retries
        self._pause = pause or threading.Event().wait
        self._rng = rng or random.Random()  # noqa: S311 - jitter
        self._base_url = base_url.rstrip("/")
        timeout = httpx.Timeout(self._limits.read_s, connect=self._limits.connect_s)
        self._client = httpx.Client(
            headers={"X-API-Key": api_key, "Accept": "application/json", "User-Agent": _AGENT},
            timeout=timeout,
            verify=ssl.create_default_context(cafile=ca_file),
            follow_redirects=False,
            trust_env=False,
        )
        self._places: list[str] = []
        self._told_at: datetime | None = None

    @property
    def told_at(self) -> datetime | None:
        """The host's clock at its last answer, refusals included; None = it told none."""
        return self._told_at

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def sites(self, *, most_pages: int = MOST_PAGES) -> Sites:
        """`GET /vcp/sites`, all pages up to a bound. Raises `RestError`."""
        found: list[Site] = []
        total = 0
        for page in range(1, most_pages + 1):
            document = self.get("/vcp/sites", params={"page": page, "limit": PAGE_SIZE})
            rows, meta = page_of(document)
            found += [site_of(row) for row in rows]
            total = meta.get("total") if isinstance(meta.get("total"), int) else len(found)  # type: ignore[assignment]
            if len(rows) < PAGE_SIZE or len(found) >= total:
                return Sites(sites=found, total=max(total, len(found)))
        return Sites(sites=found, total=total, complete=False)

    def site_config(self, site_id: str) -> SiteConfig:
        """`GET /vcp/sites/{id}/config`: what is in force at a site. Raises `RestError`."""
        return site_config_of(self.get(f"/vcp/sites/{quote(site_id, safe='')}/config"), site_id=site_id)

    def site_commands(self, site_id: str) -> list[VokeCommand]:
        """`GET /vcp/sites/{id}/commands`: Voke's log of the last 24 hours. Raises `RestError`."""
        return logged_commands_of(self.get(f"/vcp/sites/{quote(site_id, safe='')}/commands"))

    def get(self, path: str, *, params: Mapping[str, str | int] | None = None) -> Any:
        """The JSON document at a path below the base address, tried again as `retries` say. Raises `RestError`."""
        began, attempt = monotonic(), 1
        while True:
            try:
                return self._once(path, params)
            except RestError as error:
                spent_s = monotonic() - began
                pause_s = self._retries.pause_s(error, attempt=attempt, spent_s=spent_s, rng=self._rng)
                if pause_s is None or self._pause(pause_s):
                    raise
            attempt += 1

    def _once(self, path: str, params: Mapping[str, str | int] | None) -> Any:
        self._require_safe()
        try:
            status, headers, content = self._read(path, params)
            self._told_at = told_at(headers)
        except httpx.TimeoutException as error:
            raise RestTimeout(said("no complete answer in time")) from error
        except httpx.InvalidURL as error:
            raise RestInsecure(said("the address can't be used")) from error
        except httpx.TransportError as error:
            raise _transport_error(error) from error
        return _document(status, content, headers)

    def _read(
        self, path: str, params: Mapping[str, str | int] | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """From the first of the judged addresses that lets itself be connected to, never from the name again."""
        url = httpx.URL(self._base_url + path)
        for number, place in enumerate(self._places, start=1):
            try:
                with self._client.stream(
                    "GET",
                    url.copy_with(host=place.partition("%")[0]),
                    params=params,
                    headers={"Host": url.netloc.decode("ascii")},
                    extensions={"sni_hostname": url.host},
                ) as response:
                    content = b"".join(self._bounded(response))
                    return response.status_code, response.headers, content
            except (httpx.ConnectError, httpx.ConnectTimeout):
                if number == len(self._places):
                    raise
        raise RestUnreachable(said("the host has no address"))

    def _bounded(self, response: httpx.Response) -> Iterator[bytes]:
        """The body's pieces, as long as time and size allow: each piece alone may come just in time for ever."""
        until, size = monotonic() + self._limits.total_s, 0
        for piece in response.iter_bytes():
            size += len(piece)
            if size > self._limits.bytes:
                raise RestGarbled(
                    said("more than %(bytes)s bytes", bytes=self._limits.bytes), status=response.status_code
                )
            if monotonic() > until:
                raise RestTimeout(said("no complete answer in time"), status=response.status_code)
            yield piece

    def _require_safe(self) -> None:
        """HTTPS, or plain HTTP to this machine or its private network; the name resolves within its time.

        What it resolved to is kept for as long as this object: it reads one thing and is closed.
        """
        if self._places:
            return
        try:
            url = httpx.URL(self._base_url)
        except httpx.InvalidURL as error:
            raise RestInsecure(said("the address can't be used")) from error
        if url.scheme not in ("https", "http") or not url.host or url.userinfo:
            raise RestInsecure(said("the address is no plain https:// address"))
        try:
            places = resolve(url.host, url.port or 443, timeout_s=self._limits.connect_s)
        except NameRefused as error:
            raise RestInsecure(told_by(error)) from error
        except (NameUnknown, NameTimeout) as error:
            raise RestUnreachable(said("the host %(host)s does not resolve", host=url.host)) from error
        if url.scheme == "http" and not all(_is_near(one) for one in places):
            raise RestInsecure(said("the key would travel in clear text"))
        self._places = places[:MOST_PLACES]


def _is_near(place: str) -> bool:
    """This machine or a private network; `is_private` of the library counts reserved networks too."""
    address = ipaddress.ip_address(place.partition("%")[0])
    return address.is_loopback or any(address in one for one in _PRIVATE if one.version == address.version)


def _transport_error(error: httpx.TransportError) -> RestError:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return RestCertificate(cause.verify_message)
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, httpx.ConnectError):
        return RestUnreachable(said("no connection came about"))
    return RestUnreachable(said("the connection broke: %(name)s", name=type(error).__name__))


def _document(status: int, content: bytes, headers: Mapping[str, str]) -> Any:
    try:
        document = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        document = None
    if 200 <= status < 300:
        if document is None:
            raise RestGarbled(said("the answer is no JSON"), status=status)
        return document
    voke_code = document.get("code") if isinstance(document, dict) else None
    told = voke_code[:_LONGEST_CODE] if isinstance(voke_code, str) else ""
    words = f"{status} {told}".strip()
    if status < 400:
        raise RestGarbled(
            said("%(status)s: a redirection, which is not followed", status=status), status=status
        )
    default = RestUnavailable if status >= 500 else RestRejected
    raise BY_STATUS.get(status, default)(
        words, status=status, voke_code=told, retry_after_s=retry_after_s(headers)
    )
