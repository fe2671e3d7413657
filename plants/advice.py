"""What a fault of a link is called, means and asks for: one table of words for every page, command, metric and alarm.

Codes are stable and written in capitals; a link stores the code of its last error beside the error's own words. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Advice:
    """`title`: a few words; `meaning`: what is known; `action`: what a person does about it."""

    title: str
    meaning: str
    action: str


_ASK_VOKE = "Ask Voke's administrator"

ADVICE: Mapping[str, Advice] = {
    # --- why no link comes about ---
    "REFUSED_CREDENTIALS": Advice(
        title="User name or API key refused",
        meaning="Voke revoked the key, it has expired, or the bundle is another environment's.",
        action=f"{_ASK_VOKE} for a new bundle and give it to the connection (New bundle).",
    ),
    "REFUSED_VHOST": Advice(
        title="Virtual host refused",
        meaning="The key is known, and may not use this vhost, or the vhost does not exist.",
        action="Compare the vhost with the bundle; import the bundle anew, or ask Voke's administrator.",
    ),
    "REFUSED_CERTIFICATE": Advice(
        title="The broker's certificate is not trusted",
        meaning="It has expired, is for another host name, or was signed by an authority that we do not know.",
        action="Check the host in the bundle and AMQP_CA_FILE; an expired one must be renewed by Voke.",
    ),
    "ADDRESS_REFUSED": Advice(
        title="The host is not on the public internet",
        meaning="Its name leads to a private, loopback or link-local address, which bundles may not name here.",
        action="Compare the host with the bundle; CONNECT_ALLOW_PRIVATE allows a broker inside the own network.",
    ),
    "TLS_FAILED": Advice(
        title="No TLS with the broker",
        meaning="What answers at this address does not speak TLS 1.2 or newer, or something in between interferes.",
        action="Check host, port (5671) and proxies or firewalls on the way.",
    ),
    "CA_FILE_UNUSABLE": Advice(
        title="AMQP_CA_FILE can't be used",
        meaning="The file is missing, may not be read, or holds no certificates.",
        action="Put the authority's PEM file there, readable for the process, and restart relay and consumer.",
    ),
    "BAD_ADDRESS": Advice(
        title="The stored address can't be used",
        meaning="The AMQPS address of the connection is not one that a link can be made with.",
        action="Give the connection its bundle again (New bundle).",
    ),
    "SECRET_UNREADABLE": Advice(
        title="A stored secret can't be decrypted",
        meaning="It was encrypted with a key that FIELD_KEYS no longer holds.",
        action="Put the old version back into FIELD_KEYS, or give the connection its bundle again.",
    ),
    "CONNECTION_LIMIT": Advice(
        title="Too many connections",
        meaning="Voke's broker limits the connections of this key or vhost.",
        action="Stop relays or consumers that are not needed, or ask Voke's administrator for a higher limit.",
    ),
    "LINK_DOWN": Advice(
        title="The link broke or does not come about",
        meaning="Nothing answers at the address, or the network or the broker ended the link.",
        action="Check network, DNS and firewall to the broker; it is tried again by itself every few seconds.",
    ),
    "HEARTBEAT_MISSED": Advice(
        title="The broker fell silent",
        meaning="Two heartbeats stayed away: the network swallows what is sent, or the broker hangs.",
        action="Check the network to the broker; it is tried again by itself every few seconds.",
    ),
    # --- what the key may use ---
    "QUEUE_MISSING": Advice(
        title="A queue is missing",
        meaning="The key's vhost lacks a queue that the bundle names.",
        action="Compare the queue names with the bundle; ask Voke's administrator to restore the queue.",
    ),
    "QUEUE_FORBIDDEN": Advice(
        title="A queue may not be read",
        meaning="The key has no permission to read one of its event queues.",
        action=f"{_ASK_VOKE} for the scope vcp:connect on this key.",
    ),
    "QUEUE_UNAVAILABLE": Advice(
        title="A queue can't be consumed",
        meaning="The broker refuses this queue for a reason of its own, for instance an exclusive consumer.",
        action="Read the last error; ask Voke's administrator.",
    ),
    "CONSUMER_CANCELLED": Advice(
        title="The broker ended our consumer",
        meaning="A queue was deleted or moved while it was read.",
        action="Nothing when it comes back by itself; otherwise ask Voke's administrator.",
    ),
    "UNKNOWN_DELIVERY": Advice(
        title="A delivery of another link",
        meaning="An acknowledgement did not belong to the present link; the messages come again and count once.",
        action="Nothing; report it when it repeats.",
    ),
    # --- a link that is there and does not work ---
    "PUBLISHERS_BLOCKED": Advice(
        title="The broker takes nothing",
        meaning="Voke's broker lacks memory or disk and blocks everybody who publishes; events still arrive.",
        action="Tell Voke's operations; what waits is published when the block ends, unless its time has passed.",
    ),
    "HALF_OPEN": Advice(
        title="The broker delivered nothing although messages wait",
        meaning="Our queues at Voke hold messages and our consumer was not given any; the link was made anew.",
        action="Nothing when it comes back by itself; tell Voke's operations when it repeats.",
    ),
    "STUCK": Advice(
        title="A worker hung",
        meaning="A relay or consumer made no progress; its link was dropped and a new worker started.",
        action="Nothing when it comes back by itself; when it repeats, keep the logs and report it.",
    ),
    "NOTHING_EVER_ARRIVED": Advice(
        title="Connected, and nothing at all has ever arrived",
        meaning="Login, vhost and queues are fine, yet no message came: Voke's federation into this key's vhost "
        "is most likely missing.",
        action=f"{_ASK_VOKE} to check the federation of the exchange vcp into the vhost; nothing to do on our side.",
    ),
    "NOTHING_ARRIVES": Advice(
        title="Connected, and nothing arrives any more",
        meaning="Everything of this connection fell silent at once: Voke's federation into the vhost, or the plants' "
        "side of Voke, has stopped.",
        action=f"{_ASK_VOKE} to check the federation into the vhost and the plants' connection to Voke.",
    ),
    "REALTIME_SILENT": Advice(
        title="No realtime telemetry",
        meaning="Other messages arrive, realtime telemetry does not, or not in a form that can be read.",
        action="Look at the dead letters; ask Voke whether the plants send and the key may read telemetry.",
    ),
    "METER_SILENT": Advice(
        title="No meter readings any more",
        meaning="Meter readings arrived before and have stopped; realtime telemetry goes on.",
        action="Ask Voke whether the plants' meters are read.",
    ),
    "CLOCK_SKEW": Advice(
        title="Clocks differ",
        meaning="Incoming timestamps differ from our clock, or messages waited long in a queue. Voke drops commands "
        "whose timestamp is more than five minutes off.",
        action="Check the time synchronisation (NTP) of this machine first, then ask Voke.",
    ),
    # --- an old connection, after another one took over ---
    "DRAINING_PENDING": Advice(
        title="Draining: messages are still on their way",
        meaning="What was attempted on this connection is sent again only here, within the replay margin.",
        action="Nothing: it ends by itself within REPLAY_MARGIN_S.",
    ),
    "DRAINING_AWAITS_WORDS": Advice(
        title="Draining: answers of Voke are awaited",
        meaning="Commands that were sent here may still be acknowledged or reported on here.",
        action="Nothing; keep the old key valid at Voke.",
    ),
    "DRAINING_MINIMUM": Advice(
        title="Draining: the least time is not over",
        meaning="Voke may still publish here what belongs to the time before the takeover.",
        action="Nothing; keep the old key valid at Voke.",
    ),
    "DRAINING_UNREAD": Advice(
        title="Draining: its queues are not read to the end",
        meaning="Messages still wait at Voke, or are with a consumer that has not stored them, or nobody has proven "
        "the contrary yet.",
        action="Nothing while the number falls; else look at the consumer and the database. Keep the old key valid.",
    ),
    "DRAINING_LAST_LOOK": Advice(
        title="Draining: its queues are read, and are looked at once more",
        meaning="They have to be empty for one expected period after everything else has ended.",
        action="Nothing; this takes seconds.",
    ),
    "DRAINING_NOT_READ": Advice(
        title="Draining: nobody reads its queues",
        meaning="No consumer is connected with the old key: what waits there is not stored.",
        action="Start `manage.py consume`, or see why it can't connect. If Voke revoked the old key already, what is "
        "left there is lost, and the connection retires when TAKEOVER_GRACE_S is over.",
    ),
    "DRAINING_STRAY": Advice(
        title="Draining: a plant can't be moved on",
        meaning="A plant reached this connection after the takeover, and the new one can't take it.",
        action="Put the plant right: usually another plant of the new connection has its Voke UUID.",
    ),
    "TAKEOVER_UNREAD": Advice(
        title="Retired with messages unread",
        meaning="TAKEOVER_GRACE_S was over and its queues were not read to the end: what waits there stays there.",
        action="Ask Voke's administrator what is left in the old key's queues; nothing of it is read any more.",
    ),
    # --- our own side ---
    "NO_PROCESS": Advice(
        title="No process serves it",
        meaning="No relay or consumer has reported on this half of the link for 30 seconds.",
        action="Start `manage.py relay` and `manage.py consume`; look at their logs and the database's.",
    ),
    "STORING_SLOWLY": Advice(
        title="Messages arrive and are stored slowly or not at all",
        meaning="Voke delivers; our database does not take it in time. Nothing of it is acknowledged, so nothing is "
        "lost.",
        action="Look at PostgreSQL, not at Voke: locks on tables, transactions open for long, its disk and load.",
    ),
    "DATABASE_AWAY": Advice(
        title="The database does not take what arrives",
        meaning="Relay or consumer met an error of PostgreSQL and backs off; nothing is acknowledged, so nothing is "
        "lost.",
        action="Check PostgreSQL: running, writable, room on its disk, migrations applied, locks held for long.",
    ),
    "INTERNAL_ERROR": Advice(
        title="A fault of this platform",
        meaning="A worker met an error that it does not know; it tries again with pauses.",
        action="Keep the log entry with action link.failed and report it.",
    ),
}
_UNKNOWN = Advice(
    title="A fault without a name",
    meaning="The last error says more.",
    action="Read the last error and the logs; report it when it stays.",
)


def advice(code: str) -> Advice:
    """The words for a code; a code that is not known gets general ones."""
    return ADVICE.get(code, _UNKNOWN)
