"""The words of `check_connection` for what links themselves never meet; everything else says `plants.advice`."""

from collections.abc import Mapping

from django.utils.translation import gettext_noop as _

from plants.advice import Advice, english_advice

CHECK_ADVICE: Mapping[str, Advice] = {
    # --- the way to the broker ---
    "NAME_UNKNOWN": Advice(
        title=_("The host name does not resolve"),
        meaning=_("No name server knows the broker's host, or none could be asked."),
        action=_(
            "Compare the host with the bundle and check this machine's DNS; if it is wrong, "
            "give the connection its bundle again (New bundle)."
        ),
    ),
    "NAME_TIMEOUT": Advice(
        title=_("The name server does not answer"),
        meaning=_("The broker's host was not resolved in time."),
        action=_("Check this machine's DNS servers and the firewall to them."),
    ),
    "PORT_CLOSED": Advice(
        title=_("Nothing listens on the port"),
        meaning=_("The host answers and refuses connections on this port."),
        action=_("Compare the port with the bundle (normally 5671); ask Voke whether the broker is up."),
    ),
    "PORT_TIMEOUT": Advice(
        title=_("The host does not answer"),
        meaning=_(
            "Nothing came back in time: usually a firewall on the way, or an address that is out of use."
        ),
        action=_(
            "Let outgoing TCP to this host and port through the firewall; ask Voke about address lists on its side."
        ),
    ),
    "HOST_UNREACHABLE": Advice(
        title=_("No way to the host"),
        meaning=_("This machine's network has no route to the broker."),
        action=_("Check routing, VPN and firewall of this machine."),
    ),
    "CERTIFICATE_EXPIRED": Advice(
        title=_("The broker's certificate has expired"),
        meaning=_("Relay and consumer refuse the broker until it has a valid certificate."),
        action=_("Voke must renew it; check this machine's clock too."),
    ),
    "CERTIFICATE_EXPIRES_SOON": Advice(
        title=_("The broker's certificate expires soon"),
        meaning=_("Once it has expired, nothing connects any more."),
        action=_("Tell Voke's operations."),
    ),
    "CERTIFICATE_NOT_YET_VALID": Advice(
        title=_("The broker's certificate is not valid yet"),
        meaning=_("Its first day lies in the future of this machine's clock."),
        action=_("Check this machine's clock (NTP); else Voke must put the right certificate in place."),
    ),
    "CERTIFICATE_OTHER_HOST": Advice(
        title=_("The certificate is for another host"),
        meaning=_("What answers at this address does not prove to be the host that the bundle names."),
        action=_("Compare the host with the bundle; never switch the check off."),
    ),
    "CERTIFICATE_UNKNOWN_AUTHORITY": Advice(
        title=_("The certificate was signed by an authority that we do not know"),
        meaning=_("The trusted authorities are the system's, or those in AMQP_CA_FILE when that is set."),
        action=_(
            "Set AMQP_CA_FILE to the authority's PEM file as Voke gave it to you, or unset it for a public one."
        ),
    ),
    # --- queues and publishing ---
    "NOT_CONSUMED": Advice(
        title=_("Messages wait and nobody consumes them"),
        meaning=_("Voke has delivered into our queues, and no consumer is connected."),
        action=_("Start `manage.py consume`; look at its log."),
    ),
    "PUBLISH_FORBIDDEN": Advice(
        title=_("The key may not publish"),
        meaning=_(
            "The broker refused the routing key (403): the key has no write scope, or the prefix is another one's."
        ),
        action=_(
            "Compare the routing prefix with the bundle; ask Voke's administrator for the vcp:write scopes."
        ),
    ),
    "PUBLISH_UNCERTAIN": Advice(
        title=_("It can't be told whether the key may publish"),
        meaning=_(
            "The broker refused a schedule's routing key, and the key has no scope for schedules as we were told."
        ),
        action=_("Send a harmless command, for example the mode STANDARD, and look at what becomes of it."),
    ),
    "PROBE_ROUTED": Advice(
        title=_("The probe reached a queue"),
        meaning=_(
            "Publishing is permitted. Some queue of the vhost is bound to more than `schedule.*`; Voke refuses the "
            "probe as malformed."
        ),
        action=_("Nothing; tell Voke if its logs show a malformed message of ours."),
    ),
    "EXCHANGE_MISSING": Advice(
        title=_("The exchange is missing"),
        meaning=_("The vhost has no exchange vcp: nothing can be published."),
        action=_("Ask Voke's administrator to restore the vhost's topology."),
    ),
    "PUBLISH_FAILED": Advice(
        title=_("The broker did not take the probe"),
        meaning=_("No confirm and no refusal came back."),
        action=_("Repeat the check; when it stays, tell Voke's operations."),
    ),
    # --- evidence ---
    "NO_PLANTS": Advice(
        title=_("No plant is attached"),
        meaning=_("Without plants nothing is expected to arrive, and what arrives becomes dead letters."),
        action=_("Attach plants to the connection and enter their UUIDs at Voke."),
    ),
    "TOO_EARLY": Advice(
        title=_("Nothing has arrived yet"),
        meaning=_("The consumer has not been connected for long enough to judge."),
        action=_("Repeat the check in a minute."),
    ),
    "SIGNING_KEY_MISSING": Advice(
        title=_("There is no signing key"),
        meaning=_("Voke drops unsigned device commands, modes and schedules without a word."),
        action=_("Ask Voke for a key with write scopes and give the connection its bundle (New bundle)."),
    ),
    "SIGNING_KEY_UNUSABLE": Advice(
        title=_("The signing key can't sign"),
        meaning=_("Its text does not become a key by the chosen decoding."),
        action=_(
            "Check the key decoding (HEX: 64 hex digits), or give the connection its bundle again (New bundle)."
        ),
    ),
    "SIGNATURE_NOT_ACCEPTED": Advice(
        title=_("Signed commands are not answered"),
        meaning=_(
            "Commands that need no signature are answered, signed ones are not: Voke drops them as badly signed. "
            "The signing key is not this API key's, or its decoding differs."
        ),
        action=_("Give the connection its bundle again (New bundle); else try the other key decoding."),
    ),
    "NOTHING_ANSWERED": Advice(
        title=_("No command was answered"),
        meaning=_("Commands were sent and confirmed, and Voke answered none, signed or not."),
        action=_(
            "Look at the events above: answers may not arrive at all. Then ask Voke whether the commands did."
        ),
    ),
    "NO_SIGNED_EVIDENCE": Advice(
        title=_("No signed command was sent with this key yet"),
        meaning=_("Voke never says that a signature is wrong, it only stays silent: an answer is the proof."),
        action=_(
            "Send a harmless signed command, for example `manage.py send mode STANDARD --plant …`, and check again."
        ),
    ),
    "ANSWER_PENDING": Advice(
        title=_("Signed commands wait for their answer"),
        meaning=_("They were sent within the time that an answer may take."),
        action=_("Repeat the check in a minute."),
    ),
    "NO_TIMESTAMPS": Advice(
        title=_("No message to compare clocks with"),
        meaning=_("Clocks are compared with the timestamps of what arrives."),
        action=_("Repeat the check when events arrive."),
    ),
    "CLOCK_BEYOND_TOLERANCE": Advice(
        title=_("Clocks differ by more than Voke tolerates"),
        meaning=_("Voke drops commands whose timestamp is five minutes off or more, without a word."),
        action=_("Check the time synchronisation (NTP) of this machine first, then ask Voke."),
    ),
    # --- REST ---
    "REST_NOT_SET": Advice(
        title=_("No REST address"),
        meaning=_("The bundle named none, so the key can't be tried there."),
        action=_("Enter the REST address of the connection as Voke's documents give it."),
    ),
    "REST_INSECURE": Advice(
        title=_("The REST address is not HTTPS"),
        meaning=_("The API key would travel in clear text: nothing was sent."),
        action=_("Correct the REST address of the connection."),
    ),
    "REST_UNREACHABLE": Advice(
        title=_("REST does not answer"),
        meaning=_("No connection to the REST host came about."),
        action=_("Check the REST address, DNS and the firewall."),
    ),
    "REST_TIMEOUT": Advice(
        title=_("REST did not answer in time"),
        meaning=_("The host took the request and did not finish its answer."),
        action=_("Repeat the check; when it stays, tell Voke's operations."),
    ),
    "REST_CERTIFICATE": Advice(
        title=_("The REST host's certificate is not trusted"),
        meaning=_("It has expired, is for another host, or its authority is not known to this system."),
        action=_(
            "Compare the REST address with Voke's documents; check this machine's clock and certificates."
        ),
    ),
    "REST_UNAUTHORIZED": Advice(
        title=_("REST does not know the key"),
        meaning=_("The key was revoked or belongs to another environment (401)."),
        action=_("Ask Voke's administrator for a new bundle."),
    ),
    "REST_FORBIDDEN": Advice(
        title=_("The key may not read over REST"),
        meaning=_("The key lacks the scope vcp:read (403)."),
        action=_("Ask Voke's administrator for the scope; everything over AMQP works without it."),
    ),
    "REST_NOT_FOUND": Advice(
        title=_("There is no such REST address"),
        meaning=_("The host answers, and knows no /vcp/sites below this address (404)."),
        action=_("Correct the REST address: it ends with /api/v1."),
    ),
    "REST_REJECTED": Advice(
        title=_("REST refuses the request"),
        meaning=_("The host answered with an error of its own."),
        action=_("Read Voke's code in the line above; ask Voke."),
    ),
    "REST_THROTTLED": Advice(
        title=_("Too many REST requests"),
        meaning=_("Voke limits the rate of this key (429)."),
        action=_("Repeat the check later."),
    ),
    "REST_UNAVAILABLE": Advice(
        title=_("REST is out of order"),
        meaning=_("The host answered with a failure of its own (5xx)."),
        action=_("Repeat the check later; when it stays, tell Voke's operations."),
    ),
    "REST_GARBLED": Advice(
        title=_("What answers is not Voke's REST"),
        meaning=_("The answer is a redirection, too large, or not the JSON that Voke documents."),
        action=_("Correct the REST address of the connection."),
    ),
    "SITES_DIFFER": Advice(
        title=_("Voke's sites and our plants differ"),
        meaning=_(
            "Messages of a site that no plant of this connection carries become dead letters (UNKNOWN_SITE)."
        ),
        action=_(
            "Enter Voke's UUID at the plants, attach them to this connection, or ask Voke about the rest."
        ),
    ),
}


def words_of(code: str) -> Advice:
    """What a code of a check means and what to do about it, in English: results remember it, pages translate it."""
    return CHECK_ADVICE[code] if code in CHECK_ADVICE else english_advice(code)
