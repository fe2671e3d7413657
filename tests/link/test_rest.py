"""Voke's REST read with the key: pages, limits, and an error class for whatever may come instead of an answer."""

import threading
import traceback
from pathlib import Path

import pytest

from link.rest import (
    RestCertificate,
    RestError,
    RestForbidden,
    RestGarbled,
    RestInsecure,
    RestLimits,
    RestNotFound,
    RestRejected,
    RestThrottled,
    RestTimeout,
    RestUnauthorized,
    RestUnavailable,
    RestUnreachable,
    VokeRest,
)
from tests.link.far_rest import document, far_rest, listing
from tests.link.test_checkup_broker import tls_host
from tests.services.proc import free_port

KEY = "k+secret/=%"


def site(number: int) -> dict[str, str]:
    return {"id": f"uuid-{number}", "externalPlantId": f"P{number}", "name": f"Site {number}"}


def ask(url: str, **options):
    with VokeRest(base_url=url, api_key=KEY, **options) as rest:
        return rest.sites()


def refusal(url: str, **options) -> RestError:
    with pytest.raises(RestError) as caught:
        ask(url, **options)
    return caught.value


def test_sites_are_read_page_by_page_with_the_key():
    with far_rest(listing(*(site(n) for n in range(205)))) as host:
        found = ask(host.url + "/")

    assert (len(found.sites), found.total, found.complete) == (205, 205, True)
    assert (found.sites[0].site_id, found.sites[0].external_plant_id) == ("uuid-0", "P0")
    assert [one.query["page"] for one in host.asked] == ["1", "2", "3"]
    assert {(one.path, one.headers["X-API-Key"]) for one in host.asked} == {("/api/v1/vcp/sites", KEY)}


def test_more_pages_than_the_bound_are_not_read_and_it_says_so():
    endless = listing(*(site(n) for n in range(300)))
    with far_rest(endless) as host, VokeRest(base_url=host.url, api_key=KEY) as rest:
        found = rest.sites(most_pages=2)

    assert (len(found.sites), found.total, found.complete) == (200, 300, False)


@pytest.mark.parametrize(
    "content", [[site(1)], {"data": [site(1)]}, {"data": [site(1)], "meta": {"total": "x"}}]
)
def test_lists_without_paging_are_read_too(content):
    with far_rest(document(200, content)) as host:
        assert [one.site_id for one in ask(host.url).sites] == ["uuid-1"]


@pytest.mark.parametrize(
    ("status", "kind", "permanent"),
    [
        (401, RestUnauthorized, True),
        (403, RestForbidden, True),
        (404, RestNotFound, True),
        (422, RestRejected, True),
        (429, RestThrottled, False),
        (500, RestUnavailable, False),
        (503, RestUnavailable, False),
        (302, RestGarbled, True),
    ],
)
def test_each_refusal_is_a_class_with_the_status_and_vokes_own_code(status, kind, permanent):
    with far_rest(document(status, {"statusCode": status, "code": "VOKES_WORD", "message": "no"})) as host:
        error = refusal(host.url)

    assert (type(error), error.status, error.permanent) == (kind, status, permanent)
    assert error.voke_code == ("" if kind is RestGarbled else "VOKES_WORD")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<html>",
        b"\xff",
        b"[" * 100_000,
        b'"a"',
        b'{"data":{}}',
        b'{"data":[1]}',
        b'{"data":[{"id":7}]}',
    ],
    ids=range(8),
)
def test_what_is_no_list_of_sites_is_garbled(content):
    with far_rest(lambda _asked: (200, content)) as host:
        assert type(refusal(host.url)) is RestGarbled


def without_end(asked) -> None:
    """Pieces of an answer until the client goes away."""
    asked.handler.send_response(200)
    asked.handler.end_headers()
    pause = threading.Event()
    try:
        while not pause.wait(0.01):
            asked.handler.wfile.write(b" " * 100)
    except OSError:
        return


@pytest.mark.parametrize(
    ("limits", "kind"),
    [(RestLimits(bytes=1000), RestGarbled), (RestLimits(total_s=0.2, read_s=5), RestTimeout)],
    ids=["too large", "too slow"],
)
def test_an_answer_without_end_is_cut_by_size_and_by_time(limits, kind):
    with far_rest(without_end) as host:
        assert type(refusal(host.url, limits=limits)) is kind


def test_a_host_that_never_answers_is_given_up():
    done = threading.Event()
    with far_rest(lambda _asked: done.wait(10) and None) as host:
        error = refusal(host.url, limits=RestLimits(read_s=0.2))
        done.set()

    assert (type(error), error.permanent) == (RestTimeout, False)


def test_a_closed_port_and_an_unknown_name_are_unreachable():
    closed = refusal(f"http://127.0.0.1:{free_port()}/api/v1")
    unknown = refusal("https://rest.invalid/api/v1")

    assert (type(closed), type(unknown)) == (RestUnreachable, RestUnreachable)


def test_a_host_whose_certificate_nobody_vouches_for_gets_no_key(tmp_path: Path):
    with tls_host(tmp_path, "localhost") as (port, _):
        assert type(refusal(f"https://localhost:{port}/api/v1")) is RestCertificate


@pytest.mark.parametrize(
    "url",
    [
        "http://192.0.2.7/api/v1",
        "http://169.254.169.254/",
        "ftp://localhost/x",
        "localhost",
        "https://u:p@localhost/",
        "http://[::1",
        "",
    ],
)
def test_the_key_is_never_sent_in_clear_text_nor_to_what_is_no_address(url):
    assert type(refusal(url)) is RestInsecure


def test_no_error_shows_the_key():
    with far_rest(document(401, {"code": "UNAUTHORIZED"})) as host:
        error = refusal(host.url)

    assert KEY not in "".join(traceback.format_exception(error)) + repr(error)
