"""A private RabbitMQ that looks like Voke's: AMQP over TLS only, one vhost per partner key, least rights.

Traps met: `/usr/sbin/rabbitmq-server` switches to the system's account, so the script under /usr/lib is
used; with RABBITMQ_ALLOW_INPUT that script replaces itself by the Erlang VM, so signals reach it; the epmd
that Erlang would start outlives it, so a private one runs in the foreground; an open port is not yet a
broker, so ready means that a TLS handshake succeeded and the AMQP header was answered.
"""

import json
import os
import secrets
import socket
import ssl
import subprocess
from collections import deque
from datetime import datetime
from pathlib import Path

import pika

from tests.services.ca import CertificateAuthority, client_context
from tests.services.missing import require
from tests.services.partner import Partner, definitions, new_partner
from tests.services.proc import ManagedProcess, ServiceError, free_port, wait_until
from tests.services.server import Server

POOL_AT_BOOT = 12
POOL_STEP = 8


class RabbitServer(Server):
    """Boots with the partner `acme` (vhost `partner-test1`) and a pool of partners for `lease_partner`.

    Ready in about five seconds. Queues are durable: persistent messages survive `restart`, and `kill` +
    `start`. With `quorum` the queues are quorum queues, as a broker in production has them.
    """

    name = "rabbit"

    def __init__(self, *, quorum: bool = False) -> None:
        super().__init__()
        self._quorum = quorum
        self.port = free_port()
        self._distribution_port = free_port()
        self._epmd_port = free_port()
        self._node = f"esm{self.port}@localhost"
        self._voke_password = secrets.token_urlsafe(18)
        self._made = 0
        self._epmd: ManagedProcess | None = None
        self.partner = new_partner("acme", "test1", port=self.port, voke_password=self._voke_password)
        self._pool = deque(self._new_partner() for _ in range(POOL_AT_BOOT))

    @property
    def partner_uri(self) -> str:
        """AMQPS address of `acme` in its vhost `partner-test1`."""
        return self.partner.uri

    @property
    def voke_uri(self) -> str:
        """AMQPS address of Voke's side in the vhost `partner-test1`."""
        return self.partner.voke_uri

    @property
    def ca_file(self) -> Path:
        """The authority that signed the broker's certificate."""
        return self._certificates / "ca.pem"

    def lease_partner(self) -> Partner:
        """A partner nobody has used yet: own slug, vhost, user and empty queues; never the same twice."""
        if not self._pool:
            fresh = [self._new_partner() for _ in range(POOL_STEP)]
            self._import(fresh)
            self._pool.extend(fresh)
        return self._pool.popleft()

    def add_partner(self, slug: str, key_id: str) -> Partner:
        """A further partner of a chosen slug and key id (vhost `partner-{key_id}`), while the broker runs."""
        partner = new_partner(slug, key_id, port=self.port, voke_password=self._voke_password)
        self._import([partner])
        return partner

    def queue_depth(self, partner: Partner, queue: str) -> int:
        """Messages ready in a queue (those handed to a consumer and not yet acked do not count)."""
        with self.voke_connection(partner) as connection:
            return int(connection.channel().queue_declare(queue, passive=True).method.message_count)

    def purge(self, partner: Partner) -> None:
        """Empty all queues of a partner, dead letters too."""
        with self.voke_connection(partner) as connection:
            channel = connection.channel()
            for queue in (*partner.queues.values(), partner.dead_queue):
                channel.queue_purge(queue)

    def voke_connection(self, partner: Partner | None = None) -> pika.BlockingConnection:
        """Voke's side of a partner's vhost (default: `acme`), with all rights."""
        return self.connect((partner or self.partner).voke_uri)

    def connect(self, uri: str) -> pika.BlockingConnection:
        """A pika connection to an address of this broker that trusts only its authority."""
        parameters = pika.URLParameters(uri)
        parameters.ssl_options = pika.SSLOptions(client_context(self.ca_file), "localhost")
        parameters.socket_timeout = parameters.stack_timeout = parameters.blocked_connection_timeout = 10
        return pika.BlockingConnection(parameters)

    def ctl(self, *words: str, timeout_s: float = 180.0) -> str:
        """`rabbitmqctl` on this node (about 0.3 s a call); its output."""
        done = subprocess.run(
            [self._bin / "rabbitmqctl", "--quiet", "--node", self._node, *words],
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            cwd=self.directory,
            check=False,
        )
        if done.returncode != 0:
            raise ServiceError(
                f"rabbitmqctl {words[0]} failed (exit {done.returncode}):\n{done.stdout[-2000:]}"
            )
        return done.stdout

    def present(self, *names: str, not_after: datetime | None = None) -> None:
        """New connections are shown a certificate for these names (the right ones: localhost, 127.0.0.1)."""
        self._authority.issue(*names, not_after=not_after)
        self.ctl("eval", "ssl:clear_pem_cache().")

    def prepare(self) -> None:
        self.prepare_node()
        authority = self._authority = CertificateAuthority(self._certificates)
        self._write_definitions([self.partner, *self._pool], "definitions.json")
        (self.directory / "rabbitmq.conf").write_text(
            f"listeners.tcp = none\n"
            f"listeners.ssl.1 = 127.0.0.1:{self.port}\n"
            f"ssl_options.cacertfile = {authority.ca_file}\n"
            f"ssl_options.certfile = {authority.server_cert_file}\n"
            f"ssl_options.keyfile = {authority.server_key_file}\n"
            f"ssl_options.verify = verify_none\n"
            f"ssl_options.fail_if_no_peer_cert = false\n"
            f"load_definitions = {self.directory / 'definitions.json'}\n"
            f"disk_free_limit.absolute = 50MB\n"
        )

    def prepare_node(self) -> None:
        """What any node needs, whatever its configuration: a home with a cookie, and no plugins."""
        (self.directory / "home").mkdir()
        cookie = self.directory / "home" / ".erlang.cookie"
        cookie.write_text(secrets.token_hex(20))
        cookie.chmod(0o400)
        (self.directory / "enabled_plugins").write_text("[].\n")

    def launch(self) -> ManagedProcess:
        environment = self._environment()
        self._epmd = ManagedProcess(
            "epmd",
            ["epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1"],
            log_file=self.directory / "epmd.log",
            env=environment,
            cwd=self.directory,
        )
        wait_until(
            lambda: _listening(self._epmd_port), timeout_s=60, what="epmd listens", process=self._epmd
        )  # the node would start one of its own
        return ManagedProcess(
            self.name,
            [self._bin / "rabbitmq-server"],
            log_file=self.directory / "rabbit.log",
            env=environment,
            cwd=self.directory,
        )

    def answers(self) -> bool:
        """TLS handshake, then the AMQP protocol header, answered by a method frame (Connection.Start)."""
        try:
            with (
                socket.create_connection(("127.0.0.1", self.port), timeout=2) as plain,
                client_context(self.ca_file).wrap_socket(plain, server_hostname="localhost") as secure,
            ):
                secure.sendall(b"AMQP\x00\x00\x09\x01")
                return secure.recv(7)[:1] == b"\x01"
        except (OSError, ssl.SSLError):
            return False

    def stop(self) -> None:
        super().stop()
        self._stop_epmd()

    def kill(self) -> None:
        super().kill()
        self._stop_epmd()

    @property
    def epmd_process(self) -> ManagedProcess:
        """Erlang's name server of this broker alone."""
        if self._epmd is None:
            raise ServiceError(f"{self.name}: not running")
        return self._epmd

    @property
    def _bin(self) -> Path:
        return require("rabbitmq-server").parent

    @property
    def _certificates(self) -> Path:
        return self.directory / "tls"

    def _new_partner(self) -> Partner:
        self._made += 1
        return new_partner(
            f"p{self._made:03}", f"pool{self._made}", port=self.port, voke_password=self._voke_password
        )

    def _import(self, partners: list[Partner]) -> None:
        self.ctl("import_definitions", str(self._write_definitions(partners, "further.json")))

    def _write_definitions(self, partners: list[Partner], name: str) -> Path:
        path = self.directory / name
        path.touch(mode=0o600)
        path.write_text(json.dumps(definitions(partners, self._voke_password, quorum=self._quorum)))
        return path

    def _stop_epmd(self) -> None:
        if self._epmd is not None:
            epmd, self._epmd = self._epmd, None
            epmd.kill()  # it keeps no data, and asks for `-kill` from a client otherwise

    def _environment(self) -> dict[str, str]:
        directory = self.directory
        variables = {
            "NODENAME": self._node,
            "NODE_PORT": "",
            "DIST_PORT": str(self._distribution_port),
            "MNESIA_BASE": str(directory / "mnesia"),
            "LOG_BASE": str(directory / "log"),
            "LOGS": "-",
            "CONFIG_FILE": str(directory / "rabbitmq"),
            "ADVANCED_CONFIG_FILE": str(directory / "advanced"),
            "ENABLED_PLUGINS_FILE": str(directory / "enabled_plugins"),
            "PID_FILE": str(directory / "rabbit.pid"),
            "CONF_ENV_FILE": "/nonexistent",
            "GENERATED_CONFIG_DIR": str(directory / "generated"),
            "FEATURE_FLAGS_FILE": str(directory / "feature_flags"),
            "SCHEMA_DIR": str(directory / "schema"),
            "QUORUM_DIR": str(directory / "quorum"),
            # The start script then becomes the Erlang VM instead of its parent.
            "ALLOW_INPUT": "1",
            "SERVER_START_ARGS": "-noinput -start_epmd false",
            "SERVER_ADDITIONAL_ERL_ARGS": (
                "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}"
            ),
        }
        return {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "LANG": "C.UTF-8",
            "HOME": str(directory / "home"),
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_CRASH_DUMP": "/dev/null",
            **{f"RABBITMQ_{name}": value for name, value in variables.items() if value},
        }


def _listening(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
