"""A certificate authority of the test run's own, and a server certificate for localhost signed by it."""

import ssl
from datetime import datetime
from pathlib import Path

import trustme


class CertificateAuthority:
    """Files in `directory`: `ca.pem` for clients, `server.pem` and `server.key` for the server."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.ca_file = directory / "ca.pem"
        self.server_cert_file = directory / "server.pem"
        self.server_key_file = directory / "server.key"
        self._authority = trustme.CA()
        self._authority.cert_pem.write_to_path(self.ca_file)
        self.server_key_file.touch(mode=0o600)
        self.issue("localhost", "127.0.0.1")

    def issue(self, *names: str, not_after: datetime | None = None) -> None:
        """Write a new server certificate and key for these names over the present ones."""
        server = self._authority.issue_cert(*names, not_after=not_after)
        for number, certificate in enumerate(server.cert_chain_pems):
            certificate.write_to_path(self.server_cert_file, append=number > 0)
        server.private_key_pem.write_to_path(self.server_key_file)

    def client_context(self) -> ssl.SSLContext:
        """Trusts this authority and nothing else; checks the host name."""
        return client_context(self.ca_file)


def client_context(ca_file: Path) -> ssl.SSLContext:
    """A client's TLS context that trusts only the authority in `ca_file` and checks the host name."""
    return ssl.create_default_context(cafile=str(ca_file))
