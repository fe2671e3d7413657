"""The test broker's topology is written from the fact sheet; the code under test must agree with it."""

import json

import vcp
from tests.services.partner import bindings, definitions, new_partner, queue_names


def test_queue_names_of_broker_and_code_agree() -> None:
    assert vcp.queue_names("acme", queue_names("acme")) == vcp.queue_names("acme")


def test_bindings_of_broker_and_code_agree() -> None:
    assert set(bindings("acme")) == set(vcp.bindings(vcp.queue_names("acme"), "acme"))


def test_the_bundle_is_one_that_the_code_reads() -> None:
    partner = new_partner("acme", "8d1f", port=5671, voke_password="unused")

    bundle = vcp.parse_bundle(json.dumps(partner.bundle()).encode())

    address = vcp.parse_amqps_uri(bundle.amqps_uri)
    assert (address.username, address.password, address.vhost) == ("acme", partner.api_key, "partner-8d1f")


def test_every_queue_is_durable_and_all_but_the_last_dead_letter() -> None:
    partner = new_partner("acme", "8d1f", port=5671, voke_password="unused")

    queues = definitions([partner], "unused")["queues"]

    assert all(queue["durable"] for queue in queues)
    assert [queue["name"] for queue in queues if not queue["arguments"]] == ["vcp.acme.dead"]
