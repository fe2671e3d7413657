"""What may come of a REST request instead of an answer: a class each, with a stable code."""

from collections.abc import Mapping


class RestError(Exception):
    """A request failed.

    `permanent`: trying again without a change will fail again; `voke_code`: Voke's own word;
    `retry_after_s`: how long Voke asks to be left alone.
    """

    code = "REST_REJECTED"
    permanent = True

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        voke_code: str = "",
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.voke_code = voke_code
        self.retry_after_s = retry_after_s


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


BY_STATUS: Mapping[int, type[RestError]] = {
    401: RestUnauthorized,
    403: RestForbidden,
    404: RestNotFound,
    429: RestThrottled,
}
