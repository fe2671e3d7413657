"""`python -m voke_sim`: the stand-in alone, over AMQPS, until SIGTERM or SIGINT.

Standard output gets two lines of JSON: one when it is connected and ready, one with the counts at the end.
Everything else is logged to standard error. Exit code 0 = stopped as told, 1 = something died, 2 = the
configuration is refused.
"""

import argparse
import logging
import os
import signal
import sys
import threading
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import msgspec
import structlog

from voke_sim.config import SimConfig, TransportKind
from voke_sim.config_load import ENVIRONMENT, ConfigError, load_config
from voke_sim.notes import Action, Note
from voke_sim.simulator import Simulator, SimulatorFailed

_EXIT_FAILED = 1
_EXIT_REFUSED = 2
_POLL_S = 1.0

_log = structlog.get_logger("voke_sim")


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the configuration, run until told to stop; the exit code."""
    options = _parser().parse_args(arguments)
    if options.example:
        sys.stdout.write(example_config())
        return 0
    if options.config is None:
        return _refuse(ConfigError("--config", "required (see --example)"))
    settings = [*options.set, *([f"factor={options.factor}"] if options.factor else [])]
    settings += [f"seed={options.seed}"] if options.seed is not None else []
    settings += [f"journal_path={options.journal}"] if options.journal else []
    try:
        config = load_config(options.config, environ=os.environ, settings=settings)
        if config.transport.kind is TransportKind.MEMORY:
            raise ConfigError("transport.kind", "alone the stand-in speaks amqp only")
    except ConfigError as error:
        return _refuse(error)
    if options.check:
        sys.stdout.write("configuration is fine\n")
        return 0
    return run(config)


def run(config: SimConfig) -> int:
    """Run a stand-in in this process until a signal; the exit code."""
    _configure_logging(config.log_level)
    watch = _Watch()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: watch.stop.set())
    simulator = Simulator(config, on_note=watch.note)
    code = 0
    try:
        simulator.start()
        while not watch.stop.wait(_POLL_S) and simulator.failure is None:
            watch.say_ready(simulator)
    finally:
        try:
            simulator.stop()
        except SimulatorFailed as error:
            _log.error("stand-in died", action="stop", reason=str(error))
            code = _EXIT_FAILED
        _say({"stopped": True, "counts": simulator.counts()})
        simulator.close()
    return code


def example_config() -> str:
    """A commented-by-name example of the configuration file."""
    return files("voke_sim").joinpath("example.json").read_text(encoding="utf-8")


class _Watch:
    """Turns notes into log lines, and the first connection into the ready line."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self._is_ready = False

    def note(self, note: Note) -> None:
        level = logging.DEBUG if note.action is Action.REPORTED else logging.INFO
        _log.log(
            level,
            note.text,
            action=note.action.value,
            status=note.status,
            site=note.site,
            message_id=note.message_id,
            correlation_id=note.correlation_id,
        )

    def say_ready(self, simulator: Simulator) -> None:
        if not self._is_ready and simulator.is_connected:
            self._is_ready = True
            _say({"ready": True, "rest": simulator.rest_url, "sites": len(simulator.config.sites)})


def _parser() -> argparse.ArgumentParser:
    names = "\n".join(f"  {name:<24} {field}" for name, field in ENVIRONMENT.items())
    parser = argparse.ArgumentParser(
        prog="python -m voke_sim",
        description="A stand-in for Voke: pulls the reverse channel, judges commands, runs modelled plants.",
        epilog=f"environment (each also as NAME_FILE):\n{names}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", metavar="FILE", help="JSON configuration")
    parser.add_argument(
        "--set",
        metavar="FIELD=VALUE",
        action="append",
        default=[],
        help="override a field, e.g. sites.0.name=Depot",
    )
    parser.add_argument("--factor", type=float, help="plant seconds per real second")
    parser.add_argument("--seed", type=int, help="seed of weather, load, faults and updates")
    parser.add_argument("--journal", metavar="FILE", help="SQLite file of everything received, done and sent")
    parser.add_argument("--check", action="store_true", help="check the configuration and exit")
    parser.add_argument("--example", action="store_true", help="print an example configuration and exit")
    return parser


def _configure_logging(level: str) -> None:
    number = logging.getLevelNamesMapping()[level]
    logging.basicConfig(level=max(number, logging.WARNING), stream=sys.stderr)
    logging.getLogger("pika").setLevel(logging.CRITICAL)  # our own lines tell of lost sessions
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def _say(document: dict[str, Any]) -> None:
    sys.stdout.write(msgspec.json.encode(document).decode() + "\n")
    sys.stdout.flush()


def _refuse(error: ConfigError) -> int:
    sys.stderr.write(f"voke_sim: {error}\n")
    return _EXIT_REFUSED


if __name__ == "__main__":
    sys.exit(main())
