"""The way to the broker: stored address, DNS, TCP, TLS. Each step has its own time limit and says nothing secret.

TLS is tried as the links do it: 1.2 or newer, certificate and host name verified. Only when that fails, the certificate
is read once more without verification, to say what is wrong with it; nothing is sent over that connection.
"""

import errno
import socket
import ssl
from datetime import datetime, timedelta

from cryptography import x509

from link.checkup_results import CheckResult, Facts, Step, Verdict, ok, problem
from link.checkup_walk import Walk
from link.names import NameRefused, NameTimeout, NameUnknown, resolve
from link.targets import target_of
from plants.encryption import UndecryptableSecret
from vcp import InvalidBundle, ProtocolError, parse_amqps_uri
from vcp.said import Said, joined, said, said_many, told_by

EXPIRES_SOON = timedelta(days=14)
_MOST_ADDRESSES = 4
_MOST_NAMES = 5
# X509_V_ERR_… of OpenSSL
_VERIFY_CODES = {
    9: "CERTIFICATE_NOT_YET_VALID",
    10: "CERTIFICATE_EXPIRED",
    18: "CERTIFICATE_UNKNOWN_AUTHORITY",
    19: "CERTIFICATE_UNKNOWN_AUTHORITY",
    20: "CERTIFICATE_UNKNOWN_AUTHORITY",
    21: "CERTIFICATE_UNKNOWN_AUTHORITY",
    62: "CERTIFICATE_OTHER_HOST",
    64: "CERTIFICATE_OTHER_HOST",
}


def check_address(walk: Walk) -> CheckResult:
    """Whether the stored address can be decrypted and used."""
    connection = walk.connection
    try:
        walk.target = target_of(connection)
        walk.address = parse_amqps_uri(walk.target.amqps_uri)
    except UndecryptableSecret as error:
        return problem(Step.ADDRESS, "SECRET_UNREADABLE", told_by(error))
    except InvalidBundle as error:
        return problem(Step.ADDRESS, "BAD_ADDRESS", error.words)
    except ProtocolError as error:
        return problem(Step.ADDRESS, "BAD_ADDRESS", said("queue names: %(detail)s", detail=error.words))
    address = walk.address
    words = said(
        "%(host)s port %(port)s, user %(username)s, vhost %(vhost)s",
        host=address.host,
        port=address.port,
        username=address.username,
        vhost=connection.vhost,
    )
    return ok(
        Step.ADDRESS, words, facts={"host": address.host, "port": address.port, "vhost": connection.vhost}
    )


def check_host(walk: Walk) -> CheckResult:
    """DNS."""
    address = walk.known_address()
    try:
        walk.addresses = resolve(address.host, address.port, timeout_s=walk.options.connect_timeout_s)
    except NameTimeout:
        return problem(
            Step.HOST,
            "NAME_TIMEOUT",
            said("%(host)s: no answer in time", host=address.host),
            facts={"host": address.host},
        )
    except NameRefused as error:
        return problem(Step.HOST, "ADDRESS_REFUSED", told_by(error), facts={"host": address.host})
    except NameUnknown as error:
        return problem(
            Step.HOST,
            "NAME_UNKNOWN",
            said("%(host)s: %(error)s", host=address.host, error=told_by(error)),
            facts={"host": address.host},
        )
    found = ", ".join(walk.addresses[:_MOST_ADDRESSES])
    return ok(
        Step.HOST, said("%(host)s is %(found)s", host=address.host, found=found), facts={"addresses": found}
    )


def check_port(walk: Walk) -> CheckResult:
    """TCP: whichever of the addresses answers first in their order."""
    port = walk.known_address().port
    refusals: list[tuple[str, Said]] = []
    for place in walk.addresses[:_MOST_ADDRESSES]:
        try:
            socket.create_connection((place, port), timeout=walk.options.connect_timeout_s).close()
        except OSError as error:
            refusals.append(
                (
                    _tcp_code(error),
                    said("%(place)s port %(port)s: %(why)s", place=place, port=port, why=_reason(error)),
                )
            )
            continue
        walk.addresses = [place]
        return ok(
            Step.PORT,
            said("%(place)s port %(port)s answers", place=place, port=port),
            facts={"address": place, "port": port},
        )
    code, words = refusals[0]
    return problem(Step.PORT, code, words, facts={"port": port})


def _tcp_code(error: OSError) -> str:
    if error.errno in (errno.ECONNREFUSED, errno.ECONNRESET):
        return "PORT_CLOSED"
    if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        return "PORT_TIMEOUT"
    return "HOST_UNREACHABLE"


def _reason(error: OSError) -> Said:
    if isinstance(error, TimeoutError):
        return said("no answer in time")
    if error.strerror:
        return Said(error.strerror)
    return told_by(error) if error.args else said("no connection")


def check_tls(walk: Walk) -> CheckResult:
    """TLS version, certificate, host name, and how long the certificate is still valid."""
    address, options = walk.known_address(), walk.options
    try:
        context = ssl.create_default_context(cafile=options.ca_file)
    except OSError as error:  # SSLError is one too: a file without certificates
        return problem(
            Step.TLS,
            "CA_FILE_UNUSABLE",
            Said(error.strerror) if error.strerror else said("it holds no certificates"),
        )
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        version, certificate = _handshake(walk, context, server_name=address.host)
    except ssl.SSLCertVerificationError as error:
        return _refused_certificate(walk, error)
    except OSError as error:
        words = _reason(error)
        if isinstance(error, ssl.SSLError):
            words = Said(error.reason) if error.reason else said("no TLS")
        return problem(Step.TLS, "TLS_FAILED", words)
    return _judged(certificate, version=version, at=walk.at)


def _handshake(walk: Walk, context: ssl.SSLContext, *, server_name: str) -> tuple[str, x509.Certificate]:
    """(TLS version, the broker's certificate); nothing is sent over the connection."""
    place, port = walk.addresses[0], walk.known_address().port
    with (
        socket.create_connection((place, port), timeout=walk.options.connect_timeout_s) as plain,
        context.wrap_socket(plain, server_hostname=server_name) as secure,
    ):
        content = secure.getpeercert(binary_form=True) or b""
        try:
            return secure.version() or "", x509.load_der_x509_certificate(content)
        except ValueError as error:
            raise OSError(said("its certificate can't be read")) from error


def _judged(certificate: x509.Certificate, *, version: str, at: datetime) -> CheckResult:
    until = certificate.not_valid_after_utc
    days = (until - at).days
    facts: Facts = {
        "tls_version": version,
        "valid_until": until.isoformat(),
        "days_left": days,
        "issuer": certificate.issuer.rfc4514_string(),
    }
    words = said_many(
        "%(version)s, certificate valid for %(count)s day (until %(until)s), host name fits",
        "%(version)s, certificate valid for %(count)s days (until %(until)s), host name fits",
        days,
        version=version,
        until=until.date().isoformat(),
    )
    if until - at < EXPIRES_SOON:
        return problem(Step.TLS, "CERTIFICATE_EXPIRES_SOON", words, verdict=Verdict.WARNING, facts=facts)
    return ok(Step.TLS, words, facts=facts)


def _refused_certificate(walk: Walk, error: ssl.SSLCertVerificationError) -> CheckResult:
    code = _VERIFY_CODES.get(error.verify_code, "REFUSED_CERTIFICATE")
    words = Said(error.verify_message)
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    try:
        _, certificate = _handshake(walk, unverified, server_name=walk.known_address().host)
    except OSError:  # it was there a moment ago: what is known already must do
        return problem(Step.TLS, code, words)
    since, until = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    seen = said(
        "for %(names)s, valid %(since)s to %(until)s",
        names=joined(", ", _names(certificate)) or said("no host"),
        since=since.date().isoformat(),
        until=until.date().isoformat(),
    )
    issuer = certificate.issuer.rfc4514_string()
    facts: Facts = {"valid_until": until.isoformat(), "issuer": issuer}
    return problem(
        Step.TLS,
        code,
        said("%(words)s (%(seen)s, signed by %(issuer)s)", words=words, seen=seen, issuer=issuer),
        facts=facts,
    )


def _names(certificate: x509.Certificate) -> list[str]:
    """The hosts that a certificate is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [str(one.value) for one in names][:_MOST_NAMES]
