"""Host names to addresses with an end: the system's resolver has no timeout of its own."""

import queue
import socket
import threading


class NameUnknown(Exception):
    """No name server knows the host."""


class NameTimeout(Exception):
    """The resolver did not answer in time."""


def resolve(host: str, port: int, *, timeout_s: float) -> list[str]:
    """The host's addresses in the order in which to try them; raises `NameUnknown` or `NameTimeout`.

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
        raise NameUnknown(getattr(answer, "strerror", None) or "not a host name") from answer
    return answer
