"""Host names to addresses that may be connected to, with an end: the system's resolver has no timeout of its own.

Callers connect to the addresses that were judged here, never to the name: asked once more, a resolver may answer
differently.
"""

import queue
import socket
import threading

from django.conf import settings

from link.public import is_public
from vcp.said import said


class NameUnknown(Exception):
    """No name server knows the host."""


class NameTimeout(Exception):
    """The resolver did not answer in time."""


class NameRefused(Exception):
    """The host leads to an address that is not public, and CONNECT_ALLOW_PRIVATE is off."""


def resolve(host: str, port: int, *, timeout_s: float) -> list[str]:
    """The host's addresses in the order in which to try them; raises `NameUnknown`, `NameTimeout`, `NameRefused`.

    A resolver that hangs is left behind in a thread of its own: it ends with the system's own patience.
    """
    answers: queue.SimpleQueue[list[str] | OSError | UnicodeError] = queue.SimpleQueue()

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            answers.put(error)
        else:
            answers.put(list(dict.fromkeys(str(entry[4][0]) for entry in found)))

    threading.Thread(target=ask, name="resolve", daemon=True).start()
    try:
        answer = answers.get(timeout=timeout_s)
    except queue.Empty:
        raise NameTimeout(host) from None
    if isinstance(answer, OSError | UnicodeError):
        raise NameUnknown(getattr(answer, "strerror", None) or said("not a host name")) from answer
    if not settings.CONNECT_ALLOW_PRIVATE and not all(is_public(place) for place in answer):
        # Not which address: whoever names hosts here shall not learn what our name servers know.
        raise NameRefused(said("%(host)s leads to an address that is not public", host=host))
    return answer
