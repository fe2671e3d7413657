"""The words of `check_connection` for what links themselves never meet; everything else says `plants.advice`."""

from collections.abc import Mapping

from plants.advice import ADVICE, Advice, advice

_NEW_BUNDLE = "give the connection its bundle again (New bundle)"
_ASK_VOKE = "Ask Voke's administrator"

CHECK_ADVICE: Mapping[str, Advice] = {
    # --- the way to the broker ---
    "NAME_UNKNOWN": Advice(
        title="The host name does not resolve",
        meaning="No name server knows the broker's host, or none could be asked.",
        action=f"Compare the host with the bundle and check this machine's DNS; if it is wrong, {_NEW_BUNDLE}.",
    ),
    "NAME_TIMEOUT": Advice(
        title="The name server does not answer",
        meaning="The broker's host was not resolved in time.",
        action="Check this machine's DNS servers and the firewall to them.",
    ),
    "PORT_CLOSED": Advice(
        title="Nothing listens on the port",
        meaning="The host answers and refuses connections on this port.",
        action="Compare the port with the bundle (normally 5671); ask Voke whether the broker is up.",
    ),
    "PORT_TIMEOUT": Advice(
        title="The host does not answer",
        meaning="Nothing came back in time: usually a firewall on the way, or an address that is out of use.",
        action="Let outgoing TCP to this host and port through the firewall; ask Voke about address lists on its side.",
    ),
    "HOST_UNREACHABLE": Advice(
        title="No way to the host",
        meaning="This machine's network has no route to the broker.",
        action="Check routing, VPN and firewall of this machine.",
    ),
    "CERTIFICATE_EXPIRED": Advice(
        title="The broker's certificate has expired",
        meaning="Relay and consumer refuse the broker until it has a valid certificate.",
        action="Voke must renew it; check this machine's clock too.",
    ),
    "CERTIFICATE_EXPIRES_SOON": Advice(
        title="The broker's certificate expires soon",
        meaning="Once it has expired, nothing connects any more.",
        action="Tell Voke's operations.",
    ),
    "CERTIFICATE_NOT_YET_VALID": Advice(
        title="The broker's certificate is not valid yet",
        meaning="Its first day lies in the future of this machine's clock.",
        action="Check this machine's clock (NTP); else Voke must put the right certificate in place.",
    ),
    "CERTIFICATE_OTHER_HOST": Advice(
        title="The certificate is for another host",
        meaning="What answers at this address does not prove to be the host that the bundle names.",
        action="Compare the host with the bundle; never switch the check off.",
    ),
    "CERTIFICATE_UNKNOWN_AUTHORITY": Advice(
        title="The certificate was signed by an authority that we do not know",
        meaning="The trusted authorities are the system's, or those in AMQP_CA_FILE when that is set.",
        action="Set AMQP_CA_FILE to the authority's PEM file as Voke gave it to you, or unset it for a public one.",
    ),
    # --- queues and publishing ---
    "NOT_CONSUMED": Advice(
        title="Messages wait and nobody consumes them",
        meaning="Voke has delivered into our queues, and no consumer is connected.",
        action="Start `manage.py consume`; look at its log.",
    ),
    "PUBLISH_FORBIDDEN": Advice(
        title="The key may not publish",
        meaning="The broker refused the routing key (403): the key has no write scope, or the prefix is another one's.",
        action="Compare the routing prefix with the bundle; ask Voke's administrator for the vcp:write scopes.",
    ),
    "PUBLISH_UNCERTAIN": Advice(
        title="It can't be told whether the key may publish",
        meaning="The broker refused a schedule's routing key, and the key has no scope for schedules as we were told.",
        action="Send a harmless command, for example the mode STANDARD, and look at what becomes of it.",
    ),
    "PROBE_ROUTED": Advice(
        title="The probe reached a queue",
        meaning="Publishing is permitted. Some queue of the vhost is bound to more than `schedule.*`; Voke refuses the "
        "probe as malformed.",
        action="Nothing; tell Voke if its logs show a malformed message of ours.",
    ),
    "EXCHANGE_MISSING": Advice(
        title="The exchange is missing",
        meaning="The vhost has no exchange vcp: nothing can be published.",
        action=f"{_ASK_VOKE} to restore the vhost's topology.",
    ),
    "PUBLISH_FAILED": Advice(
        title="The broker did not take the probe",
        meaning="No confirm and no refusal came back.",
        action="Repeat the check; when it stays, tell Voke's operations.",
    ),
    # --- evidence ---
    "NO_PLANTS": Advice(
        title="No plant is attached",
        meaning="Without plants nothing is expected to arrive, and what arrives becomes dead letters.",
        action="Attach plants to the connection and enter their UUIDs at Voke.",
    ),
    "TOO_EARLY": Advice(
        title="Nothing has arrived yet",
        meaning="The consumer has not been connected for long enough to judge.",
        action="Repeat the check in a minute.",
    ),
    "SIGNING_KEY_MISSING": Advice(
        title="There is no signing key",
        meaning="Voke drops unsigned device commands, modes and schedules without a word.",
        action="Ask Voke for a key with write scopes and give the connection its bundle (New bundle).",
    ),
    "SIGNING_KEY_UNUSABLE": Advice(
        title="The signing key can't sign",
        meaning="Its text does not become a key by the chosen decoding.",
        action="Check the key decoding (HEX: 64 hex digits), or give the connection its bundle again (New bundle).",
    ),
    "SIGNATURE_NOT_ACCEPTED": Advice(
        title="Signed commands are not answered",
        meaning="Commands that need no signature are answered, signed ones are not: Voke drops them as badly signed. "
        "The signing key is not this API key's, or its decoding differs.",
        action="Give the connection its bundle again (New bundle); else try the other key decoding.",
    ),
    "NOTHING_ANSWERED": Advice(
        title="No command was answered",
        meaning="Commands were sent and confirmed, and Voke answered none, signed or not.",
        action="Look at the events above: answers may not arrive at all. Then ask Voke whether the commands did.",
    ),
    "NO_SIGNED_EVIDENCE": Advice(
        title="No signed command was sent with this key yet",
        meaning="Voke never says that a signature is wrong, it only stays silent: an answer is the proof.",
        action="Send a harmless signed command, for example `manage.py send mode STANDARD --plant …`, and check again.",
    ),
    "ANSWER_PENDING": Advice(
        title="Signed commands wait for their answer",
        meaning="They were sent within the time that an answer may take.",
        action="Repeat the check in a minute.",
    ),
    "NO_TIMESTAMPS": Advice(
        title="No message to compare clocks with",
        meaning="Clocks are compared with the timestamps of what arrives.",
        action="Repeat the check when events arrive.",
    ),
    "CLOCK_BEYOND_TOLERANCE": Advice(
        title="Clocks differ by more than Voke tolerates",
        meaning="Voke drops commands whose timestamp is five minutes off or more, without a word.",
        action="Check the time synchronisation (NTP) of this machine first, then ask Voke.",
    ),
    # --- REST ---
    "REST_NOT_SET": Advice(
        title="No REST address",
        meaning="The bundle named none, so the key can't be tried there.",
        action="Enter the REST address of the connection as Voke's documents give it.",
    ),
    "REST_INSECURE": Advice(
        title="The REST address is not HTTPS",
        meaning="The API key would travel in clear text: nothing was sent.",
        action="Correct the REST address of the connection.",
    ),
    "REST_UNREACHABLE": Advice(
        title="REST does not answer",
        meaning="No connection to the REST host came about.",
        action="Check the REST address, DNS and the firewall.",
    ),
    "REST_TIMEOUT": Advice(
        title="REST did not answer in time",
        meaning="The host took the request and did not finish its answer.",
        action="Repeat the check; when it stays, tell Voke's operations.",
    ),
    "REST_CERTIFICATE": Advice(
        title="The REST host's certificate is not trusted",
        meaning="It has expired, is for another host, or its authority is not known to this system.",
        action="Compare the REST address with Voke's documents; check this machine's clock and certificates.",
    ),
    "REST_UNAUTHORIZED": Advice(
        title="REST does not know the key",
        meaning="The key was revoked or belongs to another environment (401).",
        action=f"{_ASK_VOKE} for a new bundle.",
    ),
    "REST_FORBIDDEN": Advice(
        title="The key may not read over REST",
        meaning="The key lacks the scope vcp:read (403).",
        action=f"{_ASK_VOKE} for the scope; everything over AMQP works without it.",
    ),
    "REST_NOT_FOUND": Advice(
        title="There is no such REST address",
        meaning="The host answers, and knows no /vcp/sites below this address (404).",
        action="Correct the REST address: it ends with /api/v1.",
    ),
    "REST_REJECTED": Advice(
        title="REST refuses the request",
        meaning="The host answered with an error of its own.",
        action="Read Voke's code in the line above; ask Voke.",
    ),
    "REST_THROTTLED": Advice(
        title="Too many REST requests",
        meaning="Voke limits the rate of this key (429).",
        action="Repeat the check later.",
    ),
    "REST_UNAVAILABLE": Advice(
        title="REST is out of order",
        meaning="The host answered with a failure of its own (5xx).",
        action="Repeat the check later; when it stays, tell Voke's operations.",
    ),
    "REST_GARBLED": Advice(
        title="What answers is not Voke's REST",
        meaning="The answer is a redirection, too large, or not the JSON that Voke documents.",
        action="Correct the REST address of the connection.",
    ),
    "SITES_DIFFER": Advice(
        title="Voke's sites and our plants differ",
        meaning="Messages of a site that no plant of this connection carries become dead letters (UNKNOWN_SITE).",
        action="Enter Voke's UUID at the plants, attach them to this connection, or ask Voke about the rest.",
    ),
}


def words_of(code: str) -> Advice:
    """What a code of a check means and what to do about it."""
    return CHECK_ADVICE.get(code) or ADVICE.get(code) or advice(code)
