"""How an organisation reaches Voke: the contents of one connection bundle and the state of the link made with it."""

from django.db import models
from django.utils.translation import gettext_lazy

from plants.encryption import EncryptedTextField
from plants.models.tenancy import Organisation
from vcp import KeyDecoding


class ConnectionMode(models.TextChoices):
    OBSERVE = "OBSERVE", "Observe: consume and serve, publish nothing"
    ACTIVE = "ACTIVE", "Active: publish commands and site config too"


class SiteIdKind(models.TextChoices):
    UUID = "UUID", gettext_lazy("Voke's plant UUID")
    EXTERNAL = "EXTERNAL", gettext_lazy("externalPlantId (legacy)")


class Connection(models.Model):
    """One API key of one organisation at Voke: address, secrets, names of queues, what must be signed.

    A new connection observes: it consumes and serves, and publishes nothing until somebody switches it to ACTIVE.
    """

    organisation = models.ForeignKey(Organisation, on_delete=models.PROTECT, related_name="connections")
    name = models.CharField(max_length=80)
    mode = models.CharField(max_length=8, choices=ConnectionMode, default=ConnectionMode.OBSERVE)
    dispatch_enabled = models.BooleanField(
        default=True, help_text="Off: nothing is published on this connection."
    )

    slug = models.CharField(max_length=50, help_text="The organisation's slug at Voke; the AMQP user name.")
    queue_prefix = models.CharField(
        max_length=50, help_text="Queue names are vcp.{prefix}.…; normally the slug."
    )
    routing_prefix = models.CharField(
        max_length=50, help_text="First word of every routing key; normally the prefix."
    )
    queues = models.JSONField(
        default=dict, blank=True, help_text="Queue names given by the bundle; they win over built ones."
    )
    vhost = models.CharField(max_length=120, help_text="Virtual host of this key: partner-{keyId}.")
    key_id = models.CharField(max_length=80, blank=True)
    source = models.CharField(max_length=64, help_text="Our code in every envelope's `source`.")
    site_id_kind = models.CharField(
        max_length=8,
        choices=SiteIdKind,
        default=SiteIdKind.UUID,
        help_text="What we send as an envelope's `siteId`.",
    )
    scopes = models.JSONField(
        default=list,
        blank=True,
        help_text="Scopes of the API key as told at import; Voke has not verified them to us.",
    )
    rest_base_url = models.URLField(max_length=200, blank=True, default="https://api.voke.turena.cz/api/v1")

    signed_families = models.JSONField(
        default=list, help_text="Families that are sent with an HMAC signature."
    )
    key_decoding = models.CharField(
        max_length=4,
        choices=[(kind.value, kind.value) for kind in KeyDecoding],
        default=KeyDecoding.HEX.value,
        help_text="How the signing key's text becomes bytes.",
    )
    signature_kid = models.CharField(max_length=80, blank=True, help_text="Sent as `signatureKid` when set.")

    amqps_uri = EncryptedTextField(
        help_text="amqps://user:key@host:port/vhost, percent-encoded; encrypted at rest."
    )
    api_key = EncryptedTextField(blank=True, help_text="REST and AMQP key; encrypted at rest.")
    signing_key = EncryptedTextField(
        blank=True, help_text="HMAC key of commands and schedules; encrypted at rest."
    )

    realtime_period_s = models.FloatField(
        null=True,
        blank=True,
        help_text="Expected seconds between a plant's realtime messages; empty = learnt (10 until then).",
    )
    meter_period_s = models.FloatField(
        null=True,
        blank=True,
        help_text="Expected seconds between a plant's meter messages; empty = learnt (60 until then).",
    )

    created_at = models.DateTimeField(editable=False)
    activated_at = models.DateTimeField(null=True, blank=True, editable=False)

    # A second bundle that takes over: this connection then only ends what it has begun.
    succeeded_by = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        editable=False,
        related_name="predecessors",
        help_text="The connection that took over its plants; this one only drains.",
    )
    handed_over_at = models.DateTimeField(null=True, blank=True, editable=False)
    retired_at = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="Drained: nothing is published or consumed any more; what was published before is stored.",
    )
    draining_code = models.CharField(
        max_length=48,
        blank=True,
        editable=False,
        help_text="Why it still drains, or what was left unread when it retired; empty = nothing to tell.",
    )
    draining_note = models.CharField(max_length=200, blank=True, editable=False)

    class Meta:
        ordering = ["organisation_id", "name"]
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "name"], name="connection_name_once_per_organisation"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.vhost})"


class LinkState(models.TextChoices):
    CONNECTING = "CONNECTING"
    CONNECTED = "CONNECTED"
    SILENT = "SILENT", "Silent (connected, and nothing arrives)"
    BLOCKED = "BLOCKED", "Blocked (the broker takes nothing)"
    SLOW = "SLOW", "Slow (messages arrive, and the database does not store them in time)"
    REFUSED = "REFUSED", "Refused (credentials, vhost, permission or certificate)"
    DOWN = "DOWN"


class LinkHealth(models.Model):
    """What one relay or consumer last knew of its half of a connection's link."""

    class Role(models.TextChoices):
        PUBLISH = "PUBLISH"
        CONSUME = "CONSUME"

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="health")
    role = models.CharField(max_length=8, choices=Role)
    holder = models.CharField(
        max_length=80, default="", help_text="Which process says so: several may serve one connection."
    )
    state = models.CharField(max_length=12, choices=LinkState)
    since = models.DateTimeField(help_text="Since when the link is in this state.")
    seen_at = models.DateTimeField(help_text="When the process last said so.")
    last_event_at = models.DateTimeField(null=True, help_text="When the last delivery or confirm arrived.")
    error_code = models.CharField(max_length=48, blank=True, help_text="Stable code of the last error.")
    last_error = models.CharField(max_length=400, blank=True)
    error_at = models.DateTimeField(null=True)
    heard_until = models.DateTimeField(
        null=True, help_text="Up to when a consumer knows what arrived; NULL = it has not looked yet."
    )
    unstored_since = models.DateTimeField(
        null=True,
        help_text="When the oldest message arrived that is taken and not stored; NULL = there is none.",
    )
    unstored_count = models.PositiveIntegerField(
        default=0, help_text="How many messages are taken and not stored."
    )

    # Consumers of a connection that was taken over: how far its event queues are read (`link.drained`).
    unread = models.PositiveIntegerField(
        null=True, help_text="Messages that waited at the last look or were not stored yet; NULL = not known."
    )
    unread_at = models.DateTimeField(null=True, help_text="When this process last looked.")
    read_since = models.DateTimeField(
        null=True,
        help_text="Since when each look found the queues read to the end, on one and the same link.",
    )
    read_until = models.DateTimeField(
        null=True,
        help_text="Of what was in the queues before, this process holds nothing that is not stored.",
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["connection", "role", "holder"], name="link_health_once_per_role_and_process"
            )
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.state}"


class LinkSpan(models.Model):
    """One stretch of time in which one process said the same of its half of a link: the journal of `LinkHealth`.

    A heartbeat moves `until_at`; a process that dies leaves it where it was. Evidence for why readings are missing.
    """

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="spans")
    role = models.CharField(max_length=8, choices=LinkHealth.Role)
    holder = models.CharField(max_length=80, help_text="Which process said so.")
    state = models.CharField(max_length=12, choices=LinkState)
    error_code = models.CharField(max_length=48, blank=True)
    from_at = models.DateTimeField()
    until_at = models.DateTimeField(help_text="When it was last said.")

    class Meta:
        ordering = ["from_at"]
        indexes = [
            models.Index(fields=["connection", "role", "until_at"], name="span_by_connection"),
            models.Index(fields=["until_at"], name="span_by_age"),
        ]

    def __str__(self) -> str:
        return f"{self.role} {self.state} from {self.from_at.isoformat()}"


class StreamHealth(models.Model):
    """When a connection last brought something of one stream, how often it should, and whose clock is off."""

    class Stream(models.TextChoices):
        REALTIME = "REALTIME", gettext_lazy("Realtime")
        METER = "METER", gettext_lazy("Meter")
        STATUS = "STATUS", gettext_lazy("Status")

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="streams")
    stream = models.CharField(max_length=8, choices=Stream)
    last_at = models.DateTimeField(help_text="When the last message arrived.")
    last_sent_at = models.DateTimeField(help_text="The newest envelope timestamp that it carried.")
    period_s = models.FloatField(
        null=True, help_text="Learnt seconds between two messages of one plant; NULL = not yet."
    )
    skew_ms = models.IntegerField(
        null=True, help_text="Our clock at arrival minus the envelope's timestamp, as a recent median."
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["connection", "stream"], name="stream_health_once_per_stream")
        ]

    def __str__(self) -> str:
        return f"{self.stream} {self.last_at:%H:%M:%S}"
