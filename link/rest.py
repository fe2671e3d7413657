"""Voke's partner REST: read with a connection's API key, within limits of time and size; errors are classes with codes.

Interpretation: lists come as `{data, meta}` in pages of at most 100; a bare list is taken too. A site's id is its
member `siteId` or `id`. Redirections are not followed: the key must not travel to another host.
"""

import ipaddress
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from time import monotonic
from types import TracebackType
from typing import Any, Self

import httpx
import msgspec

from link.names import NameTimeout, NameUnknown, resolve

PAGE_SIZE = 100
MOST_PAGES = 20
_AGENT = "esm-partner-platform"
_LONGEST_CODE = 60
_PRIVATE = [
    ipaddress.ip_network(text) for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")
]


class RestError(Exception):
    """A request failed. `permanent`: trying again without a change will fail again; `voke_code`: Voke's own word."""

    code = "REST_REJECTED"
    permanent = True

    def __init__(self, message: str, *, status: int | None = None, voke_code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.voke_code = voke_code


class RestInsecure(RestError):
    """The address would carry the key in clear text over a public network; nothing was sent."""

    code = "REST_INSECURE"


class RestUnreachable(RestError):
    """No connection came about, or it broke."""

    code = "REST_UNREACHABLE"
    permanent = False


class RestTimeout(RestError):
    """The answer was not complete in time."""

    code = "REST_TIMEOUT"
    permanent = False


class RestCertificate(RestError):
    """The host's certificate is not trusted."""

    code = "REST_CERTIFICATE"


class RestUnauthorized(RestError):
    """401: the key is not known."""

    code = "REST_UNAUTHORIZED"


class RestForbidden(RestError):
    """403: the key lacks a scope."""

    code = "REST_FORBIDDEN"


class RestNotFound(RestError):
    """404: there is no such thing, or it is another organisation's."""

    code = "REST_NOT_FOUND"


class RestRejected(RestError):
    """Another 4xx: the request itself is wrong."""


class RestThrottled(RestError):
    """429: too many requests."""

    code = "REST_THROTTLED"
    permanent = False


class RestUnavailable(RestError):
    """5xx: Voke is out of order."""

    code = "REST_UNAVAILABLE"
    permanent = False


class RestGarbled(RestError):
    """The answer is not what Voke documents: a redirection, too large, no JSON, another shape."""

    code = "REST_GARBLED"


_BY_STATUS: Mapping[int, type[RestError]] = {
    401: RestUnauthorized,
    403: RestForbidden,
    404: RestNotFound,
    429: RestThrottled,
}


@dataclass(frozen=True, kw_only=True)
class RestLimits:
    """`connect_s`: reaching the host, `read_s`: each wait for bytes, `total_s`: a whole answer, `bytes`: its size."""

    connect_s: float = 5.0
    read_s: float = 10.0
    total_s: float = 20.0
    bytes: int = 5 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Site:
    """A site as Voke lists it."""

    site_id: str
    external_plant_id: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Sites:
    """The sites of the key. `total`: as Voke counts them; `complete` False = there are more than were read."""

    sites: list[Site] = field(default_factory=list)
    total: int = 0
    complete: bool = True


class VokeRest:
    """Reads below one base address with one key; not thread-safe. Close it, or use it with `with`."""

    def __init__(
        self, *, base_url: str, api_key: str, ca_file: str | None = None, limits: RestLimits | None = None
    ) -> None:
        self._limits = limits or RestLimits()
        self._base_url = base_url.rstrip("/")
        timeout = httpx.Timeout(self._limits.read_s, connect=self._limits.connect_s)
        self._client = httpx.Client(
            headers={"X-API-Key": api_key, "Accept": "application/json", "User-Agent": _AGENT},
            timeout=timeout,
            verify=ssl.create_default_context(cafile=ca_file),
            follow_redirects=False,
            trust_env=False,
        )
        self._checked = False

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
            rows, meta = _page_of(document)
            found += [_site_of(row) for row in rows]
            total = meta.get("total") if isinstance(meta.get("total"), int) else len(found)  # type: ignore[assignment]
            if len(rows) < PAGE_SIZE or len(found) >= total:
                return Sites(sites=found, total=max(total, len(found)))
        return Sites(sites=found, total=total, complete=False)

    def get(self, path: str, *, params: Mapping[str, str | int] | None = None) -> Any:
        """The JSON document at a path below the base address. Raises `RestError`."""
        self._require_safe()
        try:
            with self._client.stream("GET", self._base_url + path, params=params) as response:
                content = b"".join(self._bounded(response))
                status = response.status_code
        except httpx.TimeoutException as error:
            raise RestTimeout("no complete answer in time") from error
        except httpx.InvalidURL as error:
            raise RestInsecure("the address can't be used") from error
        except httpx.TransportError as error:
            raise _transport_error(error) from error
        return _document(status, content)

    def _bounded(self, response: httpx.Response) -> Iterator[bytes]:
        """The body's pieces, as long as time and size allow: each piece alone may come just in time for ever."""
        until, size = monotonic() + self._limits.total_s, 0
        for piece in response.iter_bytes():
            size += len(piece)
            if size > self._limits.bytes:
                raise RestGarbled(f"more than {self._limits.bytes} bytes", status=response.status_code)
            if monotonic() > until:
                raise RestTimeout("no complete answer in time", status=response.status_code)
            yield piece

    def _require_safe(self) -> None:
        """HTTPS, or plain HTTP to this machine or its private network; the name resolves within its time."""
        if self._checked:
            return
        try:
            url = httpx.URL(self._base_url)
        except httpx.InvalidURL as error:
            raise RestInsecure("the address can't be used") from error
        if url.scheme not in ("https", "http") or not url.host or url.userinfo:
            raise RestInsecure("the address is no plain https:// address")
        try:
            places = resolve(url.host, url.port or 443, timeout_s=self._limits.connect_s)
        except (NameUnknown, NameTimeout) as error:
            raise RestUnreachable(f"the host {url.host} does not resolve") from error
        if url.scheme == "http" and not all(_is_near(one) for one in places):
            raise RestInsecure("the key would travel in clear text")
        self._checked = True


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
        return RestUnreachable("no connection came about")
    return RestUnreachable(f"the connection broke: {type(error).__name__}")


def _document(status: int, content: bytes) -> Any:
    try:
        document = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        document = None
    if 200 <= status < 300:
        if document is None:
            raise RestGarbled("the answer is no JSON", status=status)
        return document
    voke_code = document.get("code") if isinstance(document, dict) else None
    told = voke_code[:_LONGEST_CODE] if isinstance(voke_code, str) else ""
    words = f"{status} {told}".strip()
    if status < 400:
        raise RestGarbled(f"{status}: a redirection, which is not followed", status=status)
    default = RestUnavailable if status >= 500 else RestRejected
    raise _BY_STATUS.get(status, default)(words, status=status, voke_code=told)


def _page_of(document: Any) -> tuple[list[Any], Mapping[str, Any]]:
    if isinstance(document, list):
        return document, {"total": len(document)}
    if isinstance(document, dict) and isinstance(document.get("data"), list):
        meta = document.get("meta")
        return document["data"], meta if isinstance(meta, dict) else {}
    raise RestGarbled("the answer is no list of sites")


def _site_of(row: Any) -> Site:
    if not isinstance(row, dict):
        raise RestGarbled("a site is no object")
    site_id = row.get("siteId") or row.get("id")
    if not isinstance(site_id, str):
        raise RestGarbled("a site has no id")
    external, name = row.get("externalPlantId"), row.get("name")
    return Site(
        site_id=site_id,
        external_plant_id=external if isinstance(external, str) else "",
        name=name if isinstance(name, str) else "",
    )
