"""What the broker lets the key do: login, vhost, the four event queues, publishing. Nothing is taken, nothing is left.

Interpretation: the broker is RabbitMQ, as the sources name it.
- A queue is tried by a request to consume that can't succeed (an `x-priority` that is no number): the broker checks the
  permission and the queue first (403, 404) and then refuses the argument (406). So no message is handed out, and none
  counts as delivered. A broker that takes it after all is as good an answer; the link's end ends that consumer.
- Publishing is tried with a key that the key's owner may write to and nothing is bound to: `schedule.*` takes one word,
  the probe has two. It comes back as unroutable (312), which proves the permission; 403 disproves it.
"""

from link.amqp_connection import LinkTimes, open_link
from link.amqp_errors import ChannelClosed
from link.amqp_publisher import AmqpsPublisher
from link.broker import Fate, LinkError, Outgoing
from link.checkup_results import CheckResult, Facts, Step, Verdict, ok, problem, skipped
from link.checkup_walk import Walk
from plants.models import ConnectionMode
from vcp import REQUIRED_SCOPE, Family
from vcp.said import Said, joined, said, told_by

PROBE_TAIL = "schedule.probe.unroutable"
_HEARTBEAT_S = 10
_NOT_FOUND, _ACCESS_REFUSED = 404, 403
_NO_NUMBER = {"x-priority": "none"}


def check_login(walk: Walk) -> CheckResult:
    """User name and key. A refusal of the vhost proves the login, and is the next step's."""
    target = walk.known_target()
    times = LinkTimes(
        heartbeat_s=_HEARTBEAT_S,
        connect_timeout_s=walk.options.connect_timeout_s,
        answer_timeout_s=walk.options.answer_timeout_s,
    )
    user = walk.known_address().username
    try:
        walk.link = open_link(target, role="esm check", ca_file=walk.options.ca_file, times=times)
    except LinkError as error:
        if error.code not in ("REFUSED_VHOST", "CONNECTION_LIMIT"):
            return problem(Step.LOGIN, error.code, told_by(error))
        walk.vhost_refused = error
    return ok(Step.LOGIN, said("%(user)s is logged in", user=user), facts={"user": user})


def check_vhost(walk: Walk) -> CheckResult:
    """Whether the key may enter its vhost."""
    vhost, refused = walk.connection.vhost, walk.vhost_refused
    if refused is not None:
        return problem(
            Step.VHOST,
            refused.code,
            said("%(vhost)s: %(refused)s", vhost=vhost, refused=told_by(refused)),
            facts={"vhost": vhost},
        )
    return ok(Step.VHOST, said("%(vhost)s is open to the key", vhost=vhost), facts={"vhost": vhost})


# --- queues -----------------------------------------------------------------------------------------------------------


def check_queues(walk: Walk) -> CheckResult:
    """All four event queues: there, readable, and how much waits where the broker tells it."""
    target = walk.known_target()
    faults: list[tuple[str, str]] = []
    told: list[Said] = []
    consumers: dict[str, int] = {}
    try:
        for queue in target.queues.to_partner:
            fault = _unreadable(walk, queue)
            if fault is not None:
                faults.append((fault, queue))
                continue
            depth = _depth(walk, queue)
            if depth is not None:
                walk.waiting[queue], consumers[queue] = depth
                told.append(said("%(queue)s %(count)s waiting", queue=queue, count=depth[0]))
    except LinkError as error:
        return problem(Step.QUEUES, error.code, told_by(error))
    if faults:
        names = joined("; ", [joined(" ", [queue, _FAULTS[fault]]) for fault, queue in faults])
        return problem(Step.QUEUES, faults[0][0], names, facts={"queues": len(faults)})
    facts: Facts = {"waiting": dict(walk.waiting), "consumers": dict(consumers)}
    alone = [queue for queue, count in walk.waiting.items() if count and not consumers[queue]]
    words = said(
        "%(count)s event queues are readable: %(names)s",
        count=len(target.queues.to_partner),
        names=joined(", ", told) or said("depth not told"),
    )
    if alone:
        return problem(Step.QUEUES, "NOT_CONSUMED", words, verdict=Verdict.WARNING, facts=facts)
    return ok(Step.QUEUES, words, facts=facts)


_FAULTS = {
    "QUEUE_MISSING": said("does not exist"),
    "QUEUE_FORBIDDEN": said("may not be read"),
    "QUEUE_UNAVAILABLE": said("can't be consumed"),
}


def _unreadable(walk: Walk, queue: str) -> str | None:
    """Why a queue can't be read; None = it can."""
    link = walk.open_link()
    try:
        link.call(link.channel.basic_consume, queue, arguments=_NO_NUMBER)
    except ChannelClosed as closed:
        if closed.code == _NOT_FOUND:
            return "QUEUE_MISSING"
        if closed.code == _ACCESS_REFUSED:
            # The broker asks for the permission first: whether there is such a queue, it may still tell.
            return "QUEUE_MISSING" if _is_missing(walk, queue) else "QUEUE_FORBIDDEN"
        return None if "x-priority" in closed.text else "QUEUE_UNAVAILABLE"
    return None


def _is_missing(walk: Walk, queue: str) -> bool:
    link = walk.open_link()
    try:
        link.call(link.channel.queue_declare, queue, passive=True)
    except ChannelClosed as closed:
        return closed.code == _NOT_FOUND
    return False


def _depth(walk: Walk, queue: str) -> tuple[int, int] | None:
    """(messages waiting, consumers), or None where the key may not ask."""
    link = walk.open_link()
    try:
        told = link.call(link.channel.queue_declare, queue, passive=True)
    except ChannelClosed:
        return None
    return int(told.message_count), int(told.consumer_count)


# --- publishing -------------------------------------------------------------------------------------------------------


def check_publish(walk: Walk) -> CheckResult:
    """Whether the key may publish, tried with a message that no queue takes."""
    connection = walk.connection
    quiet = connection.mode != ConnectionMode.ACTIVE or connection.retired_at is not None
    if quiet and not walk.options.publish:
        return skipped(
            Step.PUBLISH,
            said(
                "the connection only observes, so nothing is published; add --publish to try it all the same"
            ),
            code="NOT_ASKED",
        )
    key = f"{connection.routing_prefix}.{PROBE_TAIL}"
    try:
        publisher = AmqpsPublisher(
            walk.open_link(), clock=walk.clock, confirm_timeout_s=walk.options.answer_timeout_s
        )
        sent = publisher.publish([_probe(walk, key)])[0]
    except LinkError as error:
        return problem(Step.PUBLISH, error.code, told_by(error))
    match sent.fate:
        case Fate.RETURNED:
            return ok(
                Step.PUBLISH,
                said("%(key)s may be written (the probe came back: %(detail)s)", key=key, detail=sent.detail),
                facts={"key": key},
            )
        case Fate.CONFIRMED:
            return problem(Step.PUBLISH, "PROBE_ROUTED", key, verdict=Verdict.WARNING, facts={"key": key})
        case Fate.REFUSED:
            return _refused(walk, key, sent.detail)
        case _:
            blocked = walk.open_link().blocked
            return problem(Step.PUBLISH, "PUBLISHERS_BLOCKED" if blocked else "PUBLISH_FAILED", sent.detail)


def _probe(walk: Walk, key: str) -> Outgoing:
    """A message that is no command, whoever should get it."""
    message_id = str(walk.options.new_id())
    return Outgoing(
        outbound_id=0,
        routing_key=key,
        message_id=message_id,
        correlation_id=message_id,
        body=b'{"probe":true}',
        not_after=None,
    )


def _refused(walk: Walk, key: str, detail: str) -> CheckResult:
    if detail.startswith(str(_NOT_FOUND)):
        return problem(Step.PUBLISH, "EXCHANGE_MISSING", detail, facts={"key": key})
    scopes = walk.connection.scopes
    if scopes and REQUIRED_SCOPE[Family.SCHEDULE_CREATE] not in scopes:
        return problem(Step.PUBLISH, "PUBLISH_UNCERTAIN", detail, verdict=Verdict.UNKNOWN, facts={"key": key})
    return problem(Step.PUBLISH, "PUBLISH_FORBIDDEN", detail, facts={"key": key})
