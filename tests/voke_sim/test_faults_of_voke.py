"""What goes wrong at Voke as a whole, and commands that get lost there: each by what the partner sees of it."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from membroker import Message, Published
from tests.voke_sim.harness import KEY, SLUG, Partner
from tests.voke_sim.test_rest import ask
from vcp import Family, encode_envelope, parse_timestamp, routing_key, signed_envelope
from voke_sim.faults import FaultRule

KEY_OF_MODE = routing_key(SLUG, Family.COMMAND_MODE)


def rule(kind: str, **members: Any) -> FaultRule:
    return msgspec.convert({"kind": kind, **members}, FaultRule)


def word_of(partner: Partner) -> Published:
    """The broker's word on a mode command."""
    envelope = signed_envelope(partner.envelope({"mode": "STANDARD"}), KEY)
    return partner.vhost.publish(Message(routing_key=KEY_OF_MODE, body=encode_envelope(envelope)))


def log_of(partner: Partner) -> list[str]:
    site = partner.engine.sites[0].config.site_id
    commands = ask(partner, f"/api/v1/vcp/sites/{site}/commands").json()["commands"]
    return [one["correlationId"] for one in commands]


def test_swallow_loses_a_command_and_nobody_knows_it() -> None:
    partner = Partner(faults=[{"kind": "swallow", "count": 1}])
    lost, heard = partner.mode("ZERO_EXPORT"), partner.mode("STANDARD")
    partner.run(5)

    assert (partner.acks(lost), partner.statuses(lost)) == ([], [])
    assert partner.ack(heard)["status"] == "ACCEPTED"
    assert log_of(partner) == [heard]


@pytest.mark.parametrize("skew_s", [400.0, -400.0])
def test_clock_skew_drops_commands_and_shows_in_timestamps_and_in_the_date_over_rest(skew_s: float) -> None:
    partner = Partner(faults=[{"kind": "clock-skew", "skew_s": skew_s}])
    correlation = partner.mode("ZERO_EXPORT")
    partner.run(15)

    newest = parse_timestamp(partner.of(Family.EVENT_TELEMETRY_REALTIME)[-1].envelope["timestamp"])
    date = ask(partner, "/api/v1/vcp/sites").headers["date"]
    assert partner.acks(correlation) == []
    assert abs((newest - partner.at).total_seconds() - skew_s) < 15
    assert date == (partner.at + timedelta(seconds=skew_s)).strftime("%a, %d %b %Y %H:%M:%S GMT")


@pytest.mark.parametrize(("kind", "word"), [("unbound", Published.RETURNED), ("full", Published.NACKED)])
def test_what_the_broker_does_not_take_never_arrives_and_what_follows_does(
    kind: str, word: Published
) -> None:
    partner = Partner()
    number = partner.engine.faults.add(rule(kind))
    partner.tick()

    assert [word_of(partner), word_of(partner)] == [word, word]
    partner.engine.faults.remove(number)
    partner.tick()
    assert word_of(partner) is Published.ROUTED
    partner.tick(1)
    assert len(partner.of(Family.EVENT_COMMAND_ACK)) == 1


def test_the_broker_is_left_as_it_was_found() -> None:
    partner = Partner(faults=[{"kind": "full"}])

    partner.engine.finish(partner.at)

    assert word_of(partner) is Published.ROUTED
    assert not [name for name in partner.vhost.queues() if name.endswith(".full")]


@pytest.mark.parametrize("kind", ["clock-skew", "unbound", "full"])
def test_a_fault_of_voke_as_a_whole_names_no_site(kind: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="Voke's own"):
        rule(kind, site="DEPOT")
