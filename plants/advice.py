"""What a fault of a link is called, means and asks for: one table of words for every page, command, metric and alarm.

Codes are stable and written in capitals; a link stores the code of its last error beside the error's own words. The
tables are in English, as logs and stored rows have it; pages get the words of their language from `advice`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _


@dataclass(frozen=True, kw_only=True)
class Advice:
    """`title`: a few words; `meaning`: what is known; `action`: what a person does about it."""

    title: str
    meaning: str
    action: str


ADVICE: Mapping[str, Advice] = {
    # --- why no link comes about ---
    "REFUSED_CREDENTIALS": Advice(
        title=_("User name or API key refused"),
        meaning=_("Voke revoked the key, it has expired, or the bundle is another environment's."),
        action=_("Ask Voke's administrator for a new bundle and give it to the connection (New bundle)."),
    ),
    "REFUSED_VHOST": Advice(
        title=_("Virtual host refused"),
        meaning=_("The key is known, and may not use this vhost, or the vhost does not exist."),
        action=_("Compare the vhost with the bundle; import the bundle anew, or ask Voke's administrator."),
    ),
    "REFUSED_CERTIFICATE": Advice(
        title=_("The broker's certificate is not trusted"),
        meaning=_(
            "It has expired, is for another host name, or was signed by an authority that we do not know."
        ),
        action=_("Check the host in the bundle and AMQP_CA_FILE; an expired one must be renewed by Voke."),
    ),
    "ADDRESS_REFUSED": Advice(
        title=_("The host is not on the public internet"),
        meaning=_(
            "Its name leads to a private, loopback or link-local address, which bundles may not name here."
        ),
        action=_(
            "Compare the host with the bundle; CONNECT_ALLOW_PRIVATE allows a broker inside the own network."
        ),
    ),
    "TLS_FAILED": Advice(
        title=_("No TLS with the broker"),
        meaning=_(
            "What answers at this address does not speak TLS 1.2 or newer, or something in between interferes."
        ),
        action=_("Check host, port (5671) and proxies or firewalls on the way."),
    ),
    "CA_FILE_UNUSABLE": Advice(
        title=_("AMQP_CA_FILE can't be used"),
        meaning=_("The file is missing, may not be read, or holds no certificates."),
        action=_(
            "Put the authority's PEM file there, readable for the process, and restart relay and consumer."
        ),
    ),
    "BAD_ADDRESS": Advice(
        title=_("The stored address can't be used"),
        meaning=_("The AMQPS address of the connection is not one that a link can be made with."),
        action=_("Give the connection its bundle again (New bundle)."),
    ),
    "SECRET_UNREADABLE": Advice(
        title=_("A stored secret can't be decrypted"),
        meaning=_("It was encrypted with a key that FIELD_KEYS no longer holds."),
        action=_("Put the old version back into FIELD_KEYS, or give the connection its bundle again."),
    ),
    "CONNECTION_LIMIT": Advice(
        title=_("Too many connections"),
        meaning=_("Voke's broker limits the connections of this key or vhost."),
        action=_(
            "Stop relays or consumers that are not needed, or ask Voke's administrator for a higher limit."
        ),
    ),
    "LINK_DOWN": Advice(
        title=_("The link broke or does not come about"),
        meaning=_("Nothing answers at the address, or the network or the broker ended the link."),
        action=_(
            "Check network, DNS and firewall to the broker; it is tried again by itself every few seconds."
        ),
    ),
    "HEARTBEAT_MISSED": Advice(
        title=_("The broker fell silent"),
        meaning=_("Two heartbeats stayed away: the network swallows what is sent, or the broker hangs."),
        action=_("Check the network to the broker; it is tried again by itself every few seconds."),
    ),
    # --- what the key may use ---
    "QUEUE_MISSING": Advice(
        title=_("A queue is missing"),
        meaning=_("The key's vhost lacks a queue that the bundle names."),
        action=_("Compare the queue names with the bundle; ask Voke's administrator to restore the queue."),
    ),
    "QUEUE_FORBIDDEN": Advice(
        title=_("A queue may not be read"),
        meaning=_("The key has no permission to read one of its event queues."),
        action=_("Ask Voke's administrator for the scope vcp:connect on this key."),
    ),
    "QUEUE_UNAVAILABLE": Advice(
        title=_("A queue can't be consumed"),
        meaning=_(
            "The broker refuses this queue for a reason of its own, for instance an exclusive consumer."
        ),
        action=_("Read the last error; ask Voke's administrator."),
    ),
    "CONSUMER_CANCELLED": Advice(
        title=_("The broker ended our consumer"),
        meaning=_("A queue was deleted or moved while it was read."),
        action=_("Nothing when it comes back by itself; otherwise ask Voke's administrator."),
    ),
    "UNKNOWN_DELIVERY": Advice(
        title=_("A delivery of another link"),
        meaning=_(
            "An acknowledgement did not belong to the present link; the messages come again and count once."
        ),
        action=_("Nothing; report it when it repeats."),
    ),
    # --- a link that is there and does not work ---
    "PUBLISHERS_BLOCKED": Advice(
        title=_("The broker takes nothing"),
        meaning=_(
            "Voke's broker lacks memory or disk and blocks everybody who publishes; events still arrive."
        ),
        action=_(
            "Tell Voke's operations; what waits is published when the block ends, unless its time has passed."
        ),
    ),
    "HALF_OPEN": Advice(
        title=_("The broker delivered nothing although messages wait"),
        meaning=_(
            "Our queues at Voke hold messages and our consumer was not given any; the link was made anew."
        ),
        action=_("Nothing when it comes back by itself; tell Voke's operations when it repeats."),
    ),
    "STUCK": Advice(
        title=_("A worker hung"),
        meaning=_("A relay or consumer made no progress; its link was dropped and a new worker started."),
        action=_("Nothing when it comes back by itself; when it repeats, keep the logs and report it."),
    ),
    "NOTHING_EVER_ARRIVED": Advice(
        title=_("Connected, and nothing at all has ever arrived"),
        meaning=_(
            "Login, vhost and queues are fine, yet no message came: Voke's federation into this key's vhost "
            "is most likely missing."
        ),
        action=_(
            "Ask Voke's administrator to check the federation of the exchange vcp into the vhost; "
            "nothing to do on our side."
        ),
    ),
    "NOTHING_ARRIVES": Advice(
        title=_("Connected, and nothing arrives any more"),
        meaning=_(
            "Everything of this connection fell silent at once: Voke's federation into the vhost, or the plants' "
            "side of Voke, has stopped."
        ),
        action=_(
            "Ask Voke's administrator to check the federation into the vhost and the plants' connection to Voke."
        ),
    ),
    "REALTIME_SILENT": Advice(
        title=_("No realtime telemetry"),
        meaning=_("Other messages arrive, realtime telemetry does not, or not in a form that can be read."),
        action=_(
            "Look at the dead letters; ask Voke whether the plants send and the key may read telemetry."
        ),
    ),
    "METER_SILENT": Advice(
        title=_("No meter readings any more"),
        meaning=_("Meter readings arrived before and have stopped; realtime telemetry goes on."),
        action=_("Ask Voke whether the plants' meters are read."),
    ),
    "CLOCK_SKEW": Advice(
        title=_("Clocks differ"),
        meaning=_(
            "Incoming timestamps differ from our clock, or messages waited long in a queue. Voke drops commands "
            "whose timestamp is more than five minutes off."
        ),
        action=_("Check the time synchronisation (NTP) of this machine first, then ask Voke."),
    ),
    # --- an old connection, after another one took over ---
    "DRAINING_PENDING": Advice(
        title=_("Draining: messages are still on their way"),
        meaning=_("What was attempted on this connection is sent again only here, within the replay margin."),
        action=_("Nothing: it ends by itself within REPLAY_MARGIN_S."),
    ),
    "DRAINING_AWAITS_WORDS": Advice(
        title=_("Draining: answers of Voke are awaited"),
        meaning=_("Commands that were sent here may still be acknowledged or reported on here."),
        action=_("Nothing; keep the old key valid at Voke."),
    ),
    "DRAINING_MINIMUM": Advice(
        title=_("Draining: the least time is not over"),
        meaning=_("Voke may still publish here what belongs to the time before the takeover."),
        action=_("Nothing; keep the old key valid at Voke."),
    ),
    "DRAINING_UNREAD": Advice(
        title=_("Draining: its queues are not read to the end"),
        meaning=_(
            "Messages still wait at Voke, or are with a consumer that has not stored them, or nobody has proven "
            "the contrary yet."
        ),
        action=_(
            "Nothing while the number falls; else look at the consumer and the database. Keep the old key valid."
        ),
    ),
    "DRAINING_LAST_LOOK": Advice(
        title=_("Draining: its queues are read, and are looked at once more"),
        meaning=_("They have to be empty for one expected period after everything else has ended."),
        action=_("Nothing; this takes seconds."),
    ),
    "DRAINING_NOT_READ": Advice(
        title=_("Draining: nobody reads its queues"),
        meaning=_("No consumer is connected with the old key: what waits there is not stored."),
        action=_(
            "Start `manage.py consume`, or see why it can't connect. If Voke revoked the old key already, what is "
            "left there is lost, and the connection retires when TAKEOVER_GRACE_S is over."
        ),
    ),
    "DRAINING_STRAY": Advice(
        title=_("Draining: a plant can't be moved on"),
        meaning=_("A plant reached this connection after the takeover, and the new one can't take it."),
        action=_("Put the plant right: usually another plant of the new connection has its Voke UUID."),
    ),
    "TAKEOVER_UNREAD": Advice(
        title=_("Retired with messages unread"),
        meaning=_(
            "TAKEOVER_GRACE_S was over and its queues were not read to the end: what waits there stays there."
        ),
        action=_(
            "Ask Voke's administrator what is left in the old key's queues; nothing of it is read any more."
        ),
    ),
    # --- our own side ---
    "NO_PROCESS": Advice(
        title=_("No process serves it"),
        meaning=_("No relay or consumer has reported on this half of the link for 30 seconds."),
        action=_("Start `manage.py relay` and `manage.py consume`; look at their logs and the database's."),
    ),
    "STORING_SLOWLY": Advice(
        title=_("Messages arrive and are stored slowly or not at all"),
        meaning=_(
            "Voke delivers; our database does not take it in time. Nothing of it is acknowledged, so nothing is "
            "lost."
        ),
        action=_(
            "Look at PostgreSQL, not at Voke: locks on tables, transactions open for long, its disk and load."
        ),
    ),
    "DATABASE_AWAY": Advice(
        title=_("The database does not take what arrives"),
        meaning=_(
            "Relay or consumer met an error of PostgreSQL and backs off; nothing is acknowledged, so nothing is "
            "lost."
        ),
        action=_(
            "Check PostgreSQL: running, writable, room on its disk, migrations applied, locks held for long."
        ),
    ),
    "INTERNAL_ERROR": Advice(
        title=_("A fault of this platform"),
        meaning=_("A worker met an error that it does not know; it tries again with pauses."),
        action=_("Keep the log entry with action link.failed and report it."),
    ),
}
_UNKNOWN = Advice(
    title=_("A fault without a name"),
    meaning=_("The last error says more."),
    action=_("Read the last error and the logs; report it when it stays."),
)


def advice(code: str) -> Advice:
    """The words for a code; a code that is not known gets general ones."""
    return translated(english_advice(code))


def english_advice(code: str) -> Advice:
    """The same in English, whatever page is made."""
    return ADVICE.get(code, _UNKNOWN)


def translated(words: Advice) -> Advice:
    """The same in the language of the page; of nothing is made nothing."""
    return Advice(title=gettext(words.title), meaning=gettext(words.meaning), action=gettext(words.action))
