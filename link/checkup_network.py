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
        return problem(Step.ADDRESS, "SECRET_UNREADABLE", str(error))
    except InvalidBundle as error:
        return problem(Step.ADDRESS, "BAD_ADDRESS", error.detail)
    except ProtocolError as error:
        return problem(Step.ADDRESS, "BAD_ADDRESS", f"queue names: {error.detail}")
    address = walk.address
    words = f"{address.host} port {address.port}, user {address.username}, vhost {connection.vhost}"
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
            Step.HOST, "NAME_TIMEOUT", f"{address.host}: no answer in time", facts={"host": address.host}
        )
    except NameRefused as error:
        return problem(Step.HOST, "ADDRESS_REFUSED", str(error), facts={"host": address.host})
    except NameUnknown as error:
        return problem(Step.HOST, "NAME_UNKNOWN", f"{address.host}: {error}", facts={"host": address.host})
    found = ", ".join(walk.addresses[:_MOST_ADDRESSES])
    return ok(Step.HOST, f"{address.host} is {found}", facts={"addresses": found})


def check_port(walk: Walk) -> CheckResult:
    """TCP: whichever of the addresses answers first in their order."""
    port = walk.known_address().port
    refusals: list[tuple[str, str]] = []
    for place in walk.addresses[:_MOST_ADDRESSES]:
        try:
            socket.create_connection((place, port), timeout=walk.options.connect_timeout_s).close()
        except OSError as error:
            refusals.append((_tcp_code(error), f"{place} port {port}: {_reason(error)}"))
            continue
        walk.addresses = [place]
        return ok(Step.PORT, f"{place} port {port} answers", facts={"address": place, "port": port})
    code, words = refusals[0]
    return problem(Step.PORT, code, words, facts={"port": port})


def _tcp_code(error: OSError) -> str:
    if error.errno in (errno.ECONNREFUSED, errno.ECONNRESET):
        return "PORT_CLOSED"
    if isinstance(error, TimeoutError) or error.errno == errno.ETIMEDOUT:
        return "PORT_TIMEOUT"
    return "HOST_UNREACHABLE"


def _reason(error: OSError) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else (error.strerror or "no connection")


def check_tls(walk: Walk) -> CheckResult:
    """TLS version, certificate, host name, and how long the certificate is still valid."""
    address, options = walk.known_address(), walk.options
    try:
        context = ssl.create_default_context(cafile=options.ca_file)
    except OSError as error:  # SSLError is one too: a file without certificates
        return problem(Step.TLS, "CA_FILE_UNUSABLE", error.strerror or "it holds no certificates")
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        version, certificate = _handshake(walk, context, server_name=address.host)
    except ssl.SSLCertVerificationError as error:
        return _refused_certificate(walk, error)
    except OSError as error:
        words = str(error.reason or "no TLS") if isinstance(error, ssl.SSLError) else _reason(error)
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
            raise OSError("its certificate can't be read") from error


def _judged(certificate: x509.Certificate, *, version: str, at: datetime) -> CheckResult:
    until = certificate.not_valid_after_utc
    days = (until - at).days
    facts: Facts = {
        "tls_version": version,
        "valid_until": until.isoformat(),
        "days_left": days,
        "issuer": certificate.issuer.rfc4514_string(),
    }
    words = f"{version}, certificate valid for {days} days (until {until:%Y-%m-%d}), host name fits"
    if until - at < EXPIRES_SOON:
        return problem(Step.TLS, "CERTIFICATE_EXPIRES_SOON", words, verdict=Verdict.WARNING, facts=facts)
    return ok(Step.TLS, words, facts=facts)


def _refused_certificate(walk: Walk, error: ssl.SSLCertVerificationError) -> CheckResult:
    code = _VERIFY_CODES.get(error.verify_code, "REFUSED_CERTIFICATE")
    words = error.verify_message
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    try:
        _, certificate = _handshake(walk, unverified, server_name=walk.known_address().host)
    except OSError:  # it was there a moment ago: what is known already must do
        return problem(Step.TLS, code, words)
    since, until = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    seen = f"for {', '.join(_names(certificate)) or 'no host'}, valid {since:%Y-%m-%d} to {until:%Y-%m-%d}"
    issuer = certificate.issuer.rfc4514_string()
    facts: Facts = {"valid_until": until.isoformat(), "issuer": issuer}
    return problem(Step.TLS, code, f"{words} ({seen}, signed by {issuer})", facts=facts)


def _names(certificate: x509.Certificate) -> list[str]:
    """The hosts that a certificate is for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, ValueError):
        return []
    return [str(one.value) for one in names][:_MOST_NAMES]
