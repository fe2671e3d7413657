"""Commands and their fate, the outbox of exact bytes, emergencies, site config, and the proof of all of it."""

from dispatch.models.commands import (
    IN_ORDER,
    PLACE,
    Command,
    CommandEvent,
    Kind,
    OutboundMessage,
    OutboxLease,
    Outcome,
)
from dispatch.models.emergencies import EmergencyLatch, EmergencyOrder, OrderedPlant
from dispatch.models.proof import (
    Diagnosis,
    DiagnosisStage,
    Graded,
    Proof,
    ProofHint,
    ProofSource,
    Retraction,
    TimedCommand,
    Verification,
)
from dispatch.models.site import PublishedSiteConfig, ScheduleNotice, SiteConfigVersion, SiteReport

__all__ = [
    "IN_ORDER",
    "PLACE",
    "Command",
    "CommandEvent",
    "Diagnosis",
    "DiagnosisStage",
    "EmergencyLatch",
    "EmergencyOrder",
    "Graded",
    "Kind",
    "OrderedPlant",
    "OutboundMessage",
    "OutboxLease",
    "Outcome",
    "Proof",
    "ProofHint",
    "ProofSource",
    "PublishedSiteConfig",
    "Retraction",
    "ScheduleNotice",
    "SiteConfigVersion",
    "SiteReport",
    "TimedCommand",
    "Verification",
]
