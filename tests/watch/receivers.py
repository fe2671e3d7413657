"""Where notifications arrive in tests: a web server and a mail server of this process, on ports of their own."""

import asyncio
import contextlib
import email
import email.policy
import socket
import ssl
import threading
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from tests.services.ca import CertificateAuthority
from tests.threads import WITHIN_S


class WebReceiver:
    """Keeps (headers, body) of each POST and answers the scripted statuses, then 200; https when given an authority."""

    def __init__(self, *answers: int, authority: CertificateAuthority | None = None) -> None:
        self.requests: list[tuple[dict[str, str], bytes]] = []
        self._answers = list(answers)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                outer.requests.append((dict(self.headers.items()), body))
                status = outer._answers.pop(0) if outer._answers else 200
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        if authority is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(authority.server_cert_file, authority.server_key_file)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.url = f"{'https' if authority else 'http'}://localhost:{self.port}/alarms?from=esm"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join(WITHIN_S)
        self._server.server_close()


class RawReceiver:
    """Accepts one connection after the other and answers fixed bytes (None: never); keeps it open until the end."""

    def __init__(self, answer: bytes | None) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://localhost:{self.port}/"
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # the listener is closed at the end
            while True:
                stream, _ = self._listener.accept()
                self._open.append(stream)
                if self._answer is not None:
                    stream.sendall(self._answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A plain close would leave the thread in its accept.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for stream in self._open:
            stream.close()
        self._thread.join(WITHIN_S)


class MailSink:
    """A mail server that takes everything, or answers `refuse` to each RCPT; keeps (recipients, message).

    `refused`: the only address that is refused.
    """

    def __init__(self, *, refuse: str = "", refused: str = "") -> None:
        self._refused = refused
        self.mails: list[tuple[list[str], EmailMessage]] = []
        self._refuse = refuse
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.port = 0

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(WITHIN_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(WITHIN_S)

    def _run(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        recipients: list[str] = []
        self._say(writer, "220 sink")
        while line := (await reader.readline()).decode().rstrip("\r\n"):
            verb = line[:4].upper()
            if verb == "RCPT":
                address = line.partition("<")[2].partition(">")[0]
                is_refused = bool(self._refuse) and self._refused in ("", address)
                if not is_refused:
                    recipients.append(address)
                self._say(writer, self._refuse if is_refused else "250 fine")
            elif verb == "DATA":
                self._say(writer, "354 go on")
                raw = await reader.readuntil(b"\r\n.\r\n")
                message = email.message_from_bytes(raw[:-5], policy=email.policy.default)
                self.mails.append((recipients, message))
                self._say(writer, "250 taken")
            elif verb == "QUIT":
                self._say(writer, "221 bye")
                break
            else:
                self._say(writer, "250 fine")
        writer.close()

    @staticmethod
    def _say(writer: asyncio.StreamWriter, text: str) -> None:
        writer.write(f"{text}\r\n".encode())
