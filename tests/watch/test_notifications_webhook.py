"""One webhook over real sockets: what is sent, how it is signed, and what it must never do."""

import hashlib
import hmac
import json
import socket
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from tests.factories import AT
from tests.services.ca import CertificateAuthority
from tests.services.proc import free_port
from tests.watch.receivers import RawReceiver, WebReceiver
from watch.addresses import is_public, public_addresses, resolve
from watch.errors import SendError
from watch.webhook import WebhookOptions, parse_url, send_webhook

ROOT = Path(__file__).resolve().parent.parent.parent
SECRET = "a shared secret of at least 32 characters"
INSIDE = WebhookOptions(timeout_s=20, allow_http=True, allow_private=True)


def send(url, options=INSIDE, at=AT):
    content = {"code": "NO_ACK", "message": "žádná"}
    return send_webhook(url=url, secret=SECRET, uid="11-22", content=content, at=at, options=options)


def refusal(url, options=INSIDE):
    with pytest.raises(SendError) as caught:
        send(url, options)
    return caught.value


def verified(headers, body, secret, *, now):
    """The receiver's side, by the very words of the runbook."""
    words = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    recipe = words.partition("```python\ndef is_genuine")[2].partition("```")[0]
    names = {"hmac": hmac, "hashlib": hashlib}
    exec(f"def is_genuine{recipe}", names)
    return names["is_genuine"](body, headers["X-Signature"], secret, now.timestamp())


def test_a_receiver_can_verify_the_body_its_time_and_its_id():
    with WebReceiver() as receiver:
        status = send(receiver.url)

    ((headers, body),) = receiver.requests
    assert (status, json.loads(body)) == (200, {"code": "NO_ACK", "message": "žádná"})
    assert (headers["X-Notification-Id"], headers["Content-Type"]) == ("11-22", "application/json")
    assert headers["Host"] == f"localhost:{receiver.port}"
    assert verified(headers, body, SECRET, now=AT)
    assert not verified(headers, body + b" ", SECRET, now=AT)
    assert not verified(headers, body, "another secret", now=AT)
    assert not verified(headers, body, SECRET, now=AT + timedelta(minutes=6))


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return CertificateAuthority(tmp_path_factory.mktemp("ca"))


def trusting(authority, **changes):
    return WebhookOptions(
        **{"timeout_s": 20, "allow_private": True, "tls": authority.client_context(), **changes}
    )


def test_https_checks_the_certificate_and_the_host_name(authority):
    with WebReceiver(authority=authority) as receiver:
        assert send(receiver.url, trusting(authority)) == 200
        strange = refusal(receiver.url, WebhookOptions(timeout_s=20, allow_private=True))
        other_name = refusal(
            receiver.url.replace("localhost", "other.example"),
            trusting(authority, resolver=lambda _host, _port: ["127.0.0.1"]),
        )

    assert (strange.code, other_name.code) == ("CERTIFICATE_REFUSED", "CERTIFICATE_REFUSED")
    assert len(receiver.requests) == 1


def test_the_address_that_was_judged_is_the_one_that_is_reached():
    """A name that answers differently the second time reaches nothing: there is no second time."""
    answers = iter([["127.0.0.1"]])
    with WebReceiver() as receiver:
        options = WebhookOptions(
            timeout_s=20, allow_http=True, allow_private=True, resolver=lambda _host, _port: next(answers)
        )
        send(receiver.url.replace("localhost", "rebind.example"), options)

    assert len(receiver.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 307])
def test_a_redirect_is_not_followed(status):
    with WebReceiver(status) as receiver:
        error = refusal(receiver.url)

    assert (error.code, error.permanent, len(receiver.requests)) == (f"HTTP_{status}", True, 1)


@pytest.mark.parametrize(
    ("status", "permanent"),
    [(400, True), (401, True), (404, True), (408, False), (429, False), (500, False), (503, False)],
)
def test_what_the_receiver_answers_decides_whether_it_is_tried_again(status, permanent):
    with WebReceiver(status) as receiver:
        error = refusal(receiver.url)

    assert (error.code, error.permanent) == (f"HTTP_{status}", permanent)


def test_an_interim_answer_is_passed_over():
    with RawReceiver(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n") as receiver:
        assert send(receiver.url) == 204


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-x\r\n", b"HTTP/1.1 abc\r\n", b"x" * 20_000], ids=["ssh", "letters", "flood"]
)
def test_an_answer_that_is_none_of_a_web_server_is_an_error(answer):
    with RawReceiver(answer) as receiver:
        assert refusal(receiver.url).code in {"BAD_ANSWER", "CONNECTION_LOST"}


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_receiver_that_never_answers_ends_at_the_deadline(scheme):
    with RawReceiver(None) as receiver:
        error = refusal(
            f"{scheme}://localhost:{receiver.port}/",
            WebhookOptions(timeout_s=0.3, allow_http=True, allow_private=True),
        )

    assert (error.code, error.permanent) == ("TIMEOUT", False)


def test_an_address_that_swallows_everything_leaves_time_for_the_next_one():
    with WebReceiver() as receiver, socket.socket() as hole, ExitStack() as waiting:
        hole.bind(("127.0.0.2", receiver.port))
        hole.listen(0)
        for _ in range(4):  # its queue is full: the kernel drops whoever knocks
            knocking = waiting.enter_context(socket.socket())
            knocking.setblocking(False)
            knocking.connect_ex(hole.getsockname())
        both = WebhookOptions(
            timeout_s=2,
            allow_http=True,
            allow_private=True,
            resolver=lambda _host, _port: ["127.0.0.2", "127.0.0.1"],
        )
        assert send(receiver.url, both) == 200


def test_where_nobody_listens_is_said_so():
    error = refusal(f"http://localhost:{free_port()}/")

    assert (error.code, error.permanent) == ("UNREACHABLE", False)


# --- where it may not go ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "2002:7f00:1::", "64:ff9b::a9fe:a9fe", "64:ff9b::7f00:1",
        "fec0::2", "::7f00:1", "64:ff9b:1::7f00:1",
    ],
)  # fmt: skip
def test_an_address_that_is_not_public_is_refused(address):
    assert not is_public(address)

    with pytest.raises(SendError) as caught:
        public_addresses(["93.184.215.14", address], host="evil.example", allow_private=False)
    assert (caught.value.code, caught.value.permanent) == ("ADDRESS_REFUSED", True)


@pytest.mark.parametrize("address", ["93.184.215.14", "2606:2800:21f:cb07::1", "64:ff9b::5db8:d70e"])
def test_a_public_address_is_allowed(address):
    assert public_addresses([address], host="hooks.example", allow_private=False) == [address]


def test_without_leave_nothing_of_this_machine_is_reached():
    with WebReceiver() as receiver:
        error = refusal(receiver.url, WebhookOptions(timeout_s=20, allow_http=True))

    assert (error.code, receiver.requests) == ("ADDRESS_REFUSED", [])


@pytest.mark.parametrize(
    "url",
    [
        "http://hooks.example/", "ftp://hooks.example/", "https://", "https:///path", "hooks.example", "",
        "https://user:secret@hooks.example/", "https://hooks.example/#part", "https://hooks.example:99999/",
        "https://hooks.example:0/", "https://[::1/", "https://hooks.example/a b", "https://hooks.example/\r\nX: y",
        "https://hööks.example/", "javascript:alert(1)",
    ],
)  # fmt: skip
def test_an_address_that_is_no_plain_https_address_is_refused(url):
    with pytest.raises(SendError) as caught:
        parse_url(url, allow_http=False)

    assert (caught.value.code, caught.value.permanent) == ("BAD_URL", True)
    assert "secret" not in str(caught.value)


def test_names_that_do_not_resolve_or_not_in_time_are_said_so():
    def nobody(_host, _port):
        raise socket.gaierror("no such name")

    with pytest.raises(SendError) as caught:
        resolve("nobody.example", 443, resolver=nobody, timeout_s=20)
    assert (caught.value.code, caught.value.permanent) == ("DNS_FAILED", False)

    with RawReceiver(None) as hang, pytest.raises(SendError) as caught:
        resolve("slow.example", 443, resolver=lambda _host, _port: [_read(hang)], timeout_s=0.2)
    assert caught.value.code == "DNS_TIMEOUT"


def _read(receiver):
    """Blocks until the receiver closes."""
    with socket.create_connection(("127.0.0.1", receiver.port)) as stream:
        return stream.recv(1).decode()
