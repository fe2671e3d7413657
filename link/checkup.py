"""A connection checked step by step, from the host name to the REST key: what works, what does not, and the fix.

Each step answers by itself, so that a page can show one after the other. A step that needs one that failed is skipped
and says which. Nothing secret is ever part of an answer. Network steps have time limits; nothing is written, no message
is taken from a queue, and nothing is published but the probe of the step `publish`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from link.broker import Clock
from link.checkup_broker import check_login, check_publish, check_queues, check_vhost
from link.checkup_evidence import check_clock, check_events, check_signature
from link.checkup_network import check_address, check_host, check_port, check_tls
from link.checkup_rest import check_rest
from link.checkup_results import AFTER_FAILURE, STEP_NAMES, CheckResult, Step, Verdict, skipped
from link.checkup_walk import CheckOptions, Walk
from plants.models import Connection
from vcp.said import Said, said

_SHORTEST_SECRET = 8
__all__ = ["CHECKS", "CheckOptions", "CheckResult", "Step", "Verdict", "checks"]


@dataclass(frozen=True, kw_only=True)
class Check:
    """One step: what it asks, which step it needs, and whether it is about the network to the broker."""

    step: Step
    ask: Callable[[Walk], CheckResult]
    needs: Step | None = None
    network: bool = False


CHECKS: tuple[Check, ...] = (
    Check(step=Step.ADDRESS, ask=check_address),
    Check(step=Step.HOST, ask=check_host, needs=Step.ADDRESS, network=True),
    Check(step=Step.PORT, ask=check_port, needs=Step.HOST, network=True),
    Check(step=Step.TLS, ask=check_tls, needs=Step.PORT, network=True),
    Check(step=Step.LOGIN, ask=check_login, needs=Step.TLS, network=True),
    Check(step=Step.VHOST, ask=check_vhost, needs=Step.LOGIN, network=True),
    Check(step=Step.QUEUES, ask=check_queues, needs=Step.VHOST, network=True),
    Check(step=Step.PUBLISH, ask=check_publish, needs=Step.VHOST, network=True),
    Check(step=Step.EVENTS, ask=check_events, needs=Step.QUEUES),
    Check(step=Step.SIGNATURE, ask=check_signature),
    Check(step=Step.CLOCK, ask=check_clock),
    Check(step=Step.REST, ask=check_rest),
)


def checks(connection: Connection, *, clock: Clock, options: CheckOptions) -> Iterator[CheckResult]:
    """The answers in the order of `CHECKS`, each as soon as it is known.

    `connection` may come without its secrets read (deferred): one that does not decrypt is then the first step's
    answer. Close the generator, or read it to its end: it holds a link to the broker.
    """
    walk = Walk(connection=connection, clock=clock, options=options)
    try:
        for check in CHECKS:
            result = _without_secrets(_answer(check, walk), walk)
            walk.results[check.step] = result
            yield result
    finally:
        walk.close()


def _answer(check: Check, walk: Walk) -> CheckResult:
    if check.network and not walk.options.over_network:
        return skipped(
            check.step, said("the link is within this process, without a network"), code="NOT_APPLICABLE"
        )
    needed = None if check.needs is None else walk.results[check.needs]
    if needed is not None and needed.blocks:
        return skipped(
            check.step, said("not tried: %(step)s failed", step=_first_failed(walk)), code=AFTER_FAILURE
        )
    return check.ask(walk)


def _first_failed(walk: Walk) -> Said:
    return next(STEP_NAMES[one.step] for one in walk.results.values() if one.verdict is Verdict.FAILED)


def _without_secrets(result: CheckResult, walk: Walk) -> CheckResult:
    """What others say (brokers, hosts) could repeat what we sent them."""
    password = "" if walk.address is None else walk.address.password
    # A short one is a word of the language too: to strike it out would tell it.
    if len(password) < _SHORTEST_SECRET or password not in result.words:
        return result
    words = result.words.with_texts(lambda text: text.replace(password, "***"))
    if password in words:  # in what is no fact of it: what is left is the English text
        words = Said(words.replace(password, "***"))
    return replace(result, words=words)
