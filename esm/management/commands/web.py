"""`manage.py web`: the HTTP server of the platform (reverse channel, admin, console) until SIGTERM or SIGINT."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from esm.metrics import serve_metrics
from esm.signals import stop_on_signals
from esm.warm import load_pages
from esm.web import serve
from link.garbage import briefly_collected


class Command(BaseCommand):
    """Runs one server process; start as many as the load needs, behind one load balancer."""

    help = "Serve HTTP until SIGTERM or SIGINT; running requests are finished first."
    # Some checks ask the database. While it is down the server starts all the same, answers 503 and is not ready;
    # `manage.py check` and the deployment's migration step run the checks.
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        """Where to listen."""
        parser.add_argument("--host", default="127.0.0.1", help="Address to listen on (0.0.0.0 = all).")
        parser.add_argument(
            "--port", type=int, default=8000, help="Port to listen on; 0 lets the system choose."
        )

    def handle(self, *args: Any, **options: Any) -> None:
        """Serve; exit code 0 after a signal, an error when the address can't be bound."""
        stop = stop_on_signals()
        host = options["host"]
        serve_metrics(stop, with_database=True)

        def announce(port: int) -> None:
            self.stdout.write(f"listening on http://{host}:{port}")
            self.stdout.flush()  # whoever waits for the line may read it through a pipe

        # Before what is there is put out of the garbage collector's sight: a look at all of it, several times a minute,
        # stopped every page that was being made.
        load_pages()
        try:
            with briefly_collected():
                serve(host=host, port=options["port"], stop=stop, ready=announce)
        except OSError as error:
            raise CommandError(f"can't listen on {host}:{options['port']}: {error.strerror}") from error
