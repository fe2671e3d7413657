"""Commands in the admin: found by what people have at hand, their life told step by step, their bytes checked."""

import json
import uuid
from datetime import timedelta

import pytest

from dispatch.models import Command, CommandEvent, OutboundMessage, Outcome
from dispatch.requests import Actor, CommandRequest
from dispatch.services.commands import submit
from dispatch.services.life import Move, advance_many
from dispatch.signatures import SignatureVerdict, check_signature
from dispatch.states import State
from plants.models import Connection, Disposition, InboundMessage
from tests import factories
from tests.admin.pages import page, text_of
from tests.admin.seed_commands import note_something
from tests.factories import AT
from vcp import Direction, Mode, OperatingMode, Priority, SetpointType, SiteSetpoint

pytestmark = pytest.mark.django_db


def ask(plant, *, payload=None, **changes) -> Command:
    request = CommandRequest(
        external_plant_id=plant.external_plant_id,
        payload=payload or Mode(mode=OperatingMode.PEAK_SHAVING),
        **changes,
    )
    return submit(
        organisation_id=plant.organisation_id,
        request=request,
        actor=Actor(name="jana"),
        at=AT - timedelta(minutes=5),
        policy=factories.policy(),
    ).command


def setpoint(**changes) -> SiteSetpoint:
    facts = {
        "type": SetpointType.POWER,
        "target_value_kw": 20.0,
        "direction": Direction.EXPORT,
        "include_consumption": True,
        "priority": Priority.NORMAL,
        "valid_from": AT,
        "valid_until": AT + timedelta(minutes=30),
    }
    return SiteSetpoint(**(facts | changes))


def happen(
    command: Command, to: State, cause: str, *, after_s: float, said_s: float | None = None, **fields
) -> None:
    start = command.requested_at
    told_at = None if said_s is None else start + timedelta(seconds=said_s)
    move = Move(command_id=command.pk, to=to, cause=cause, told_at=told_at, **fields)
    advance_many(moves=[move], at=start + timedelta(seconds=after_s))


def life(jana, command: Command):
    response = jana.get(page("dispatch_command_change", command.pk))
    return response, text_of(response)


def test_a_life_is_told_from_request_to_proof_with_offsets(jana):
    command = ask(factories.plant())
    happen(command, State.SENT, "CONFIRMED", after_s=0.012, actor="relay")
    happen(command, State.ACCEPTED, "ACK_ACCEPTED", after_s=0.9, said_s=0.7, actor="Voke")
    happen(command, State.COMPLETED, "EXECUTION_COMPLETED", after_s=7.4, said_s=7.2, actor="Voke")

    response, shown = life(jana, command)

    titles = [(step.offset.replace("\u202f", " "), step.title) for step in response.context["life"]["steps"]]
    assert titles == [
        ("start", "Requested"), ("+ 0 ms", "Queued"), ("+ 12 ms", "Sent"), ("+ 900 ms", "Accepted"),
        ("+ 7.4 s", "Completed"),
    ]  # fmt: skip
    assert "Mode: peak shaving" in shown
    assert "The broker confirmed it and a queue took it" in shown


def test_a_late_word_is_placed_by_its_arrival_and_says_so(jana):
    command = ask(factories.plant())
    happen(command, State.SENT, "CONFIRMED", after_s=0.1)
    happen(command, State.ACCEPTED, "ACK_ACCEPTED", after_s=42, said_s=1, actor="Voke")

    _, shown = life(jana, command)

    assert "Late: arrived 41 s after it was said" in shown


def test_a_word_that_came_too_late_to_matter_is_marked(jana):
    command = ask(factories.plant())
    happen(command, State.SENT, "CONFIRMED", after_s=0.1)
    happen(command, State.COMPLETED, "EXECUTION_COMPLETED", after_s=2, said_s=2, actor="Voke")
    happen(command, State.ACCEPTED, "ACK_ACCEPTED", after_s=3, said_s=3, actor="Voke")

    _, shown = life(jana, command)

    command.refresh_from_db()
    assert command.state == State.COMPLETED
    assert "Too late to matter: it changed nothing" in shown


def test_silence_is_drawn_with_its_length_and_resending_is_advised_against(jana):
    command = ask(factories.plant())
    happen(command, State.SENT, "CONFIRMED", after_s=1)
    happen(command, State.UNCONFIRMED, "ACK_OVERDUE", after_s=61)

    response, shown = life(jana, command)

    silence = next(step for step in response.context["life"]["steps"] if step.kind == "silence")
    assert silence.title.replace("\u202f", " ") == "Silence for 1 min"
    assert "Do not send it again" in shown


def test_what_is_waited_for_is_named_with_its_time(jana):
    command = ask(factories.plant())
    happen(command, State.SENT, "CONFIRMED", after_s=280, ack_due_at=AT + timedelta(seconds=40))

    _, shown = life(jana, command)

    assert "Voke's answer is expected by Fri 2 Jan 04:00:40" in shown
    assert "In 40 s" in shown


def test_a_deviation_a_partial_result_and_an_unknown_detail_are_told(jana):
    command = ask(factories.plant())
    happen(command, State.SENT, "CONFIRMED", after_s=0.1)
    results = [{"deviceId": "INV-1", "status": "REJECTED", "rejectionCode": "DEVICE_FAULT"}]
    happen(command, State.PARTIAL, "ACK_PARTIAL", after_s=1, said_s=1, detail={"results": results})
    happen(
        command,
        State.DEVIATED,
        "EXECUTION_DEVIATED",
        after_s=2,
        said_s=2,
        detail={"actualKw": 118.0, "targetKw": 159.0},
    )
    note_something(command, at=AT)

    _, shown = life(jana, command)

    assert "INV-1 rejected: A device reports a fault" in shown
    assert "41 kW short." in shown
    assert "odd: 1" in shown


def test_texts_from_voke_are_shown_as_text_and_never_run(jana):
    command = ask(factories.plant())
    happen(command, State.SENT, "CONFIRMED", after_s=0.1)
    evil = "<script>alert(1)</script>"
    happen(
        command, State.REJECTED, evil, after_s=1, said_s=1, actor=evil, detail={"message": evil, evil: evil}
    )

    response, shown = life(jana, command)

    assert evil not in response.content.decode()
    assert f"Voke says: {evil}" in shown


def test_the_proof_of_a_word_is_one_click_away(jana):
    command = ask(factories.plant())
    happen(command, State.SENT, "CONFIRMED", after_s=0.1)
    message = OutboundMessage.objects.get(command=command)
    inbound = InboundMessage.objects.create(
        connection=command.connection, plant=command.plant, message_id="m-1",
        correlation_id=str(message.correlation_id),
        routing_key="acme.event.command.ack", family="event.command.ack", sent_at=AT, received_at=AT,
        disposition=Disposition.APPLIED, body=b'{"payload":{"status":"ACCEPTED"}}',
    )  # fmt: skip
    happen(
        command,
        State.ACCEPTED,
        "ACK_ACCEPTED",
        after_s=1,
        said_s=1,
        inbound_id=inbound.pk,
        outbound_id=message.pk,
    )

    response, shown = life(jana, command)

    body = response.content.decode()
    assert f'href="#in-{inbound.pk}"' in body
    assert f'id="in-{inbound.pk}"' in body
    assert '"status": "ACCEPTED"' in shown
    assert str(message.message_id) in shown


# --- signatures ---------------------------------------------------------------------------------------------------


def verdict(command: Command) -> SignatureVerdict:
    message = OutboundMessage.objects.get(command=command)
    return check_signature(
        message=message, connection=Connection.objects.get(pk=command.connection_id)
    ).verdict


def test_the_stored_bytes_of_a_signed_command_match_the_key(jana):
    command = ask(factories.plant())

    _, shown = life(jana, command)

    assert verdict(command) is SignatureVerdict.MATCHES
    assert "Signature matches" in shown


def test_one_changed_byte_makes_the_signature_differ(jana):
    command = ask(factories.plant())
    message = OutboundMessage.objects.get(command=command)
    changed = bytes(message.body).replace(b"PEAK_SHAVING", b"PEAK-SHAVING")
    OutboundMessage.objects.filter(pk=message.pk).update(body=changed)

    _, shown = life(jana, command)

    assert verdict(command) is SignatureVerdict.DIFFERS
    assert "Signature differs" in shown


def test_a_setpoint_needs_no_signature_and_a_mode_without_one_says_so(jana):
    plant = factories.plant()
    unsigned, stripped = ask(plant, payload=setpoint()), ask(plant)
    message = OutboundMessage.objects.get(command=stripped)
    envelope = {name: value for name, value in json.loads(bytes(message.body)).items() if name != "signature"}
    OutboundMessage.objects.filter(pk=message.pk).update(body=json.dumps(envelope).encode())

    assert verdict(unsigned) is SignatureVerdict.NOT_REQUIRED
    assert verdict(stripped) is SignatureVerdict.ABSENT


@pytest.mark.parametrize(("key", "why"), [("", "has no signing key now"), ("0f", "64 hex digits")])
def test_without_a_usable_key_nothing_is_claimed_about_a_signature(key, why):
    command = ask(factories.plant())
    Connection.objects.filter(pk=command.connection_id).update(signing_key=key)
    message = OutboundMessage.objects.get(command=command)

    found = check_signature(message=message, connection=Connection.objects.get(pk=command.connection_id))

    assert found.verdict is SignatureVerdict.NOT_CHECKED
    assert why in found.why


# --- the list -----------------------------------------------------------------------------------------------------


def test_a_command_is_found_by_number_message_correlation_batch_plant_and_person(jana):
    plant = factories.plant(name="Brewery")
    wanted = ask(plant, batch_ref="day-ahead-14")
    ask(factories.plant())
    message = OutboundMessage.objects.get(command=wanted)
    terms = (f"#{wanted.pk}", str(message.message_id), str(message.correlation_id), "day-ahead-14", "brew")

    found = [
        jana.get(page("dispatch_command_changelist"), {"q": term}).context["cl"].result_list for term in terms
    ]

    assert [[command.pk for command in commands] for commands in found] == [[wanted.pk]] * len(terms)
    assert (
        not jana.get(page("dispatch_command_changelist"), {"q": str(uuid.uuid4())}).context["cl"].result_list
    )


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"state": "attention"}, {"unconfirmed"}),
        ({"state": "QUEUED"}, {"queued"}),
        ({"cause": "ACK_OVERDUE"}, {"unconfirmed"}),
        ({"kind__exact": "site-setpoint"}, {"queued"}),
        ({"automatic__exact": "1"}, {"queued"}),
    ],
)
def test_the_list_is_filtered_by_state_cause_kind_and_origin(jana, query, expected):
    plant = factories.plant()
    rows = {"queued": ask(plant, payload=setpoint(), automatic=True), "unconfirmed": ask(plant)}
    happen(rows["unconfirmed"], State.SENT, "CONFIRMED", after_s=0.1)
    happen(rows["unconfirmed"], State.UNCONFIRMED, "ACK_OVERDUE", after_s=60)

    listed = jana.get(page("dispatch_command_changelist"), query).context["cl"].result_list

    assert {name for name, command in rows.items() if command in listed} == expected


def test_the_list_is_filtered_by_plant_and_organisation(jana):
    mine, other = ask(factories.plant()), ask(factories.plant())

    by_plant = jana.get(page("dispatch_command_changelist"), {"plant__id__exact": mine.plant_id})
    by_owner = jana.get(
        page("dispatch_command_changelist"), {"organisation__id__exact": other.organisation_id}
    )

    assert list(by_plant.context["cl"].result_list) == [mine]
    assert list(by_owner.context["cl"].result_list) == [other]


# --- taking back --------------------------------------------------------------------------------------------------


def test_a_command_that_was_not_sent_is_cancelled_with_a_reason(jana):
    command = ask(factories.plant(), due_at=AT + timedelta(hours=1))

    response = jana.post(page("dispatch_command_cancel_page", command.pk), {"reason": "Replanned"})

    command.refresh_from_db()
    event = CommandEvent.objects.filter(command=command).latest("pk")
    assert response.status_code == 302
    assert (command.state, event.actor, event.detail) == (State.CANCELLED, "jana", {"reason": "Replanned"})


def test_a_command_that_may_have_left_is_taken_back_by_the_base_mode_and_the_page_says_so_before(jana):
    command = ask(factories.plant())
    OutboundMessage.objects.filter(command=command).update(attempted_at=AT, outcome=Outcome.PENDING)
    url = page("dispatch_command_cancel_page", command.pk)

    shown = text_of(jana.get(url))
    done = text_of(jana.post(url, {"reason": "Replanned"}, follow=True))

    command.refresh_from_db()
    assert "It may be on its way to Voke, so it counts as sent" in shown
    assert "The plant's base mode is sent: Standard." in shown
    assert (
        f"Command #{command.pk} is taken back by #{command.retraction.by_command_id}: Mode: standard." in done
    )
    assert (command.state, command.retraction.asked_by_name) == (State.UNCONFIRMED, "jana")


def test_an_unsent_command_says_that_nothing_goes_to_voke(jana):
    command = ask(factories.plant(), due_at=AT + timedelta(hours=1))

    shown = text_of(jana.get(page("dispatch_command_cancel_page", command.pk)))

    assert "Nothing of it was sent yet: it is taken back, and nothing goes to Voke." in shown


def test_cancelling_is_offered_while_it_may_be_in_force_and_only_to_senders(jana, staff):
    open_one, sent, refused = ask(factories.plant()), ask(factories.plant()), ask(factories.plant())
    happen(sent, State.SENT, "CONFIRMED", after_s=0.1)
    happen(refused, State.RETURNED, "BROKER_RETURNED", after_s=0.1)
    viewer = staff("dispatch.view_command")

    offered = [
        f"{command.pk}/cancel/" in client.get(page("dispatch_command_change", command.pk)).content.decode()
        for client, command in ((jana, open_one), (jana, sent), (jana, refused), (viewer, open_one))
    ]

    assert offered == [True, True, False, False]
    assert viewer.get(page("dispatch_command_cancel_page", open_one.pk)).status_code == 403
