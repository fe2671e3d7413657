"""What becomes of a received message, from bytes to verdict.

The steps, each ending the matter for what fails it: envelope and family (rejected without requeue,
silence), signature (dropped silently), known messageId (acknowledged, nothing else), age (dropped
silently), site, faults of silence, payload (REJECTED INVALID_PAYLOAD), the family's own rules. Only what passed
the signature takes a place in the deduplication: a forged message must not block the real one. Every
delivery leaves a row in the journal.

Interpretation: a routing key of no known family is malformed, because the shape of its payload cannot be
chosen; too old or too new a message and one for an unknown site are dropped silently.
"""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from vcp import (
    Constraints,
    DuplicateKey,
    Envelope,
    Fallback,
    Family,
    InvalidValue,
    Payload,
    ProtocolError,
    RejectionCode,
    ScheduleCancel,
    ScheduleCreate,
    Topology,
    UnroutableKey,
    classify,
    must_be_signed,
    parse_envelope,
    parse_payload,
    to_wire,
    verify_body,
)
from voke_sim.commands.base import Rejected, Verdict
from voke_sim.commands.registry import COMMANDS
from voke_sim.commands.schedules import cancel_schedule, create_schedule
from voke_sim.config import PartnerConfig
from voke_sim.faults import FaultKind
from voke_sim.interpretation import command_type
from voke_sim.journal import Journal
from voke_sim.journal_schema import Judgement, Received
from voke_sim.lifecycle import settle_verdict
from voke_sim.notes import Action
from voke_sim.site import Site
from voke_sim.transport.port import Inbound
from voke_sim.turn import Turn

MAX_BODY_BYTES = 1024 * 1024
_SCHEDULES = (Family.SCHEDULE_CREATE, Family.SCHEDULE_CANCEL)
_BOUNDED = frozenset({Family.COMMAND_SITE_SETPOINT, Family.COMMAND_DEVICE})


class Settlement(StrEnum):
    """What the broker is told about a delivery."""

    DONE = "done"
    REFUSED = "refused"


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery whose envelope and family are known."""

    envelope: Envelope
    family: Family
    routing_key: str

    @property
    def correlation_id(self) -> str:
        """What answers carry. Interpretation: a message without correlationId is answered by its
        messageId.
        """
        return self.envelope.correlation_id or self.envelope.message_id


class Reception:
    """Judges deliveries; called within the engine's transaction."""

    def __init__(self, partner: PartnerConfig, sites: Mapping[str, Site], journal: Journal) -> None:
        self._partner = partner
        self._sites = sites
        """Sites by UUID and by externalPlantId."""
        self._journal = journal

    def handle(self, inbound: Inbound, turn: Turn) -> Settlement:
        """Judge one delivery and do what follows from it."""
        try:
            message = self._read(inbound)
        except ProtocolError as error:
            self._note_row(
                turn,
                Received(
                    received_at=turn.at,
                    routing_key=inbound.routing_key[:255],
                    verdict=Judgement.MALFORMED.value,
                    code=error.code,
                    detail=str(error),
                ),
            )
            return Settlement.REFUSED
        verdict, code, detail = self._judge(inbound, message, turn)
        envelope = message.envelope
        self._note_row(
            turn,
            Received(
                received_at=turn.at,
                routing_key=inbound.routing_key,
                family=message.family.value,
                message_id=envelope.message_id,
                correlation_id=envelope.correlation_id,
                site_id=self._uuid(envelope.site_id),
                verdict=verdict,
                code=code,
                detail=detail,
            ),
        )
        return Settlement.DONE

    def _read(self, inbound: Inbound) -> Message:
        route = classify(inbound.routing_key, self._partner.prefix)
        if not isinstance(route.family, Family) or route.family.value.startswith("event."):
            raise UnroutableKey("the routing key names no family that Voke receives")
        if len(inbound.body) > MAX_BODY_BYTES:
            raise InvalidValue(f"larger than {MAX_BODY_BYTES} bytes")
        envelope = parse_envelope(inbound.body)
        return Message(envelope=envelope, family=route.family, routing_key=inbound.routing_key)

    def _judge(self, inbound: Inbound, message: Message, turn: Turn) -> tuple[str, str | None, str | None]:
        """(verdict, code, detail) of a readable message."""
        envelope = message.envelope
        forged = self._signature_fault(inbound, message)
        if forged is not None:
            return forged.value, None, None
        if self._journal.is_known(envelope.message_id):
            return Judgement.DUPLICATE.value, None, None
        self._journal.remember(envelope.message_id, turn.at)
        age_s = abs((turn.at + turn.faults.clock_skew() - envelope.timestamp).total_seconds())
        if age_s > turn.config.protocol.replay_tolerance_s:
            return Judgement.STALE.value, None, f"timestamp is {age_s:.0f} s away"
        site = self._sites.get(envelope.site_id)
        if site is None:
            return Judgement.UNKNOWN_SITE.value, None, envelope.site_id
        if self._is_lost(site, message, turn):
            return Judgement.SILENCED.value, None, None
        try:
            payload = parse_payload(message.family, envelope.payload)
        except ProtocolError as error:
            return self._reject(
                site, message, Rejected(code=RejectionCode.INVALID_PAYLOAD, message=str(error)), turn
            )
        site.state.last_word_at = turn.at
        if message.family in COMMANDS:
            return self._command(site, message, payload, turn)
        return self._notice(site, message, payload, turn)

    def _is_lost(self, site: Site, message: Message, turn: Turn) -> bool:
        if turn.faults.for_site(FaultKind.SILENT, site.names) is not None:
            return True
        swallowed = message.family in (*COMMANDS, *_SCHEDULES) and turn.faults.for_message(
            FaultKind.SWALLOW, message.family, site.names
        )
        return bool(swallowed)

    def _signature_fault(self, inbound: Inbound, message: Message) -> Judgement | None:
        partner = self._partner
        route_key = inbound.routing_key.removeprefix(f"{partner.prefix}.")
        if not must_be_signed(route_key, partner.signed_families):
            return None
        if message.envelope.signature is None:
            return Judgement.UNSIGNED
        try:
            is_genuine = verify_body(inbound.body, partner.signing_key, decoding=partner.key_decoding)
        except DuplicateKey:
            return Judgement.BAD_SIGNATURE  # signer and verifier might read different values
        return None if is_genuine else Judgement.BAD_SIGNATURE

    def _command(
        self, site: Site, message: Message, payload: Payload, turn: Turn
    ) -> tuple[str, str | None, str | None]:
        refusal = self._ordered_refusal(site, message, turn)
        verdict: Verdict = refusal or COMMANDS[message.family].judge(
            site, payload, message_id=message.envelope.message_id, turn=turn
        )
        if isinstance(verdict, Rejected):
            return self._reject(site, message, verdict, turn)
        status = settle_verdict(
            site,
            message.family,
            verdict,
            message_id=message.envelope.message_id,
            correlation_id=message.correlation_id,
            turn=turn,
        )
        return status.value, None, verdict.message

    def _ordered_refusal(self, site: Site, message: Message, turn: Turn) -> Rejected | None:
        """Refusals that no rule of the family asks for: a `reject` fault, and the bound of open commands."""
        fault = turn.faults.for_message(FaultKind.REJECT, message.family, site.names)
        if fault is not None:
            return Rejected(code=fault.rejection_code, message=fault.message or "refused on request")
        state, limit = site.state, turn.config.protocol.max_waiting
        if message.family in _BOUNDED and max(len(state.open_commands), len(state.setpoints)) >= limit:
            return Rejected(code=RejectionCode.INVALID_COMMAND, message=f"{limit} commands are open already")
        return None

    def _reject(
        self, site: Site, message: Message, rejected: Rejected, turn: Turn
    ) -> tuple[str, str | None, str | None]:
        status = settle_verdict(
            site,
            message.family,
            rejected,
            message_id=message.envelope.message_id,
            correlation_id=message.correlation_id,
            turn=turn,
        )
        return status.value, rejected.code.value, rejected.message

    def _notice(
        self, site: Site, message: Message, payload: Payload, turn: Turn
    ) -> tuple[str, str | None, str | None]:
        """Config and schedules: no ack. Interpretation: only commands are documented to be acknowledged."""
        message_id = message.envelope.message_id
        if isinstance(payload, ScheduleCreate):
            detail = create_schedule(
                site, payload, message_id=message_id, correlation_id=message.correlation_id, turn=turn
            )
        elif isinstance(payload, ScheduleCancel):
            detail = cancel_schedule(site, payload, correlation_id=message.correlation_id, turn=turn)
        elif isinstance(payload, Constraints | Topology | Fallback):
            detail = to_wire(payload)
            site.configure(message.family, detail)
        else:
            raise TypeError(f"{message.family} has no rules")
        if detail is None:
            return "REJECTED", None, None
        turn.voice.effect(
            site, message_id=message_id, kind=command_type(message.family), detail=detail, at=turn.at
        )
        return Judgement.APPLIED.value, None, None

    def _uuid(self, site_id: str) -> str:
        site = self._sites.get(site_id)
        return site_id if site is None else site.config.site_id

    def _note_row(self, turn: Turn, row: Received) -> None:
        self._journal.record_message(row)
        site = self._sites.get(row.site_id or "")
        where = f" for {site.config.external_plant_id}" if site is not None else ""
        why = f" ({row.code or row.detail})" if row.code or row.detail else ""
        turn.voice.note(
            Action.RECEIVED,
            status=row.verdict,
            text=f"{row.family or row.routing_key}{where}: {row.verdict}{why}",
            at=turn.at,
            site=None if site is None else site.config,
            family=row.family,
            message_id=row.message_id,
            correlation_id=row.correlation_id,
        )
