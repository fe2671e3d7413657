"""The message viewer and the record: exact bytes, the signature checked again, a chain that others can check."""

import base64
import hashlib
import json
from datetime import timedelta

import pytest
from django.urls import reverse

from console.commands import readings
from dispatch.models import OutboundMessage
from dispatch.states import State
from plants.models import InboundMessage
from tests import factories
from tests.admin.pages import text_of
from tests.console.seed_commands import hear
from tests.dispatch.helpers import ask, deliver, message_of, mode, setpoint
from tests.dispatch.proof_world import DUE, judged, measure
from tests.dispatch.silences import explained, silent_command
from tests.factories import AT

pytestmark = pytest.mark.django_db
PART = {"HX-Request": "true", "HX-Target": "message"}


@pytest.fixture
def plant(organisation):
    return factories.plant(on=factories.connection(owner=organisation), name="Brewery Přerov")


@pytest.fixture
def command(plant):
    made = ask(plant, mode())
    deliver(plant.connection, at=AT + timedelta(milliseconds=20))
    hear(made, State.ACCEPTED, "ACK_ACCEPTED", at=AT + timedelta(milliseconds=600))
    return made


def url(command, name: str = "command") -> str:
    return reverse(f"console:commands:{name}", args=[command.pk])


def viewer(client, command, **asked: str):
    return client.get(url(command), asked, headers=PART)


def test_the_message_that_was_sent_is_shown_first_with_its_signature_checked_again(viewer_client, command):
    answer = viewer(viewer_client, command)

    shown = answer.context["shown"]
    assert shown.chosen.key == f"out-{message_of(command).pk}"
    assert (shown.signature.tone, shown.signature.title) == ("ok", "Signature matches")
    key = hashlib.sha256(factories.SIGNING_KEY.encode()).hexdigest()[:4]
    assert f"key {key}" in shown.signature.text


def test_bytes_that_were_changed_in_the_store_no_longer_match(viewer_client, command):
    message = message_of(command)
    body = bytes(message.body).replace(b"PEAK_SHAVING", b"STANDARD")
    OutboundMessage.objects.filter(pk=message.pk).update(body=body)

    assert viewer(viewer_client, command).context["shown"].signature.title == "Signature differs."


def test_a_signature_that_is_missing_where_one_is_required_is_told_from_one_that_need_not_be(
    viewer_client, organisation
):
    unsigned = factories.plant(on=factories.connection(owner=organisation, signed_families=[]))
    wanted, free = ask(unsigned, mode()), ask(unsigned, setpoint())

    assert viewer(viewer_client, wanted).context["shown"].signature.title == "Signature required and absent."
    assert viewer(viewer_client, free).context["shown"].signature.title == "No signature required."


def test_raw_is_every_byte_pretty_shortens_ids_and_headers_tell_the_rest(viewer_client, command):
    message = message_of(command)
    body = bytes(message.body).decode()

    assert viewer(viewer_client, command, tab="raw").context["shown"].text == body
    pretty = viewer(viewer_client, command, tab="pretty").content.decode()
    assert str(message.message_id) not in pretty
    assert readings.short_id(str(message.message_id)) in pretty
    headers = text_of(viewer(viewer_client, command, tab="headers"))
    assert message.routing_key in headers
    assert hashlib.sha256(bytes(message.body)).hexdigest() in headers
    dump = viewer(viewer_client, command, tab="hex").context["shown"].text
    assert dump.startswith("0000  7b 22")
    assert max(map(len, dump.splitlines())) <= 39  # the letters are in sight beside the bytes


def test_what_voke_sent_is_shown_as_it_came_and_is_not_called_signed(viewer_client, command):
    heard = InboundMessage.objects.get(correlation_id=message_of(command).correlation_id)

    answer = viewer(viewer_client, command, m=f"in-{heard.pk}", tab="raw")

    assert answer.context["shown"].text == bytes(heard.body).decode()
    assert "Voke does not sign its events" in answer.context["shown"].signature.text


def test_bytes_of_others_become_no_markup_and_turn_no_text_around(viewer_client, command):
    heard = InboundMessage.objects.get(correlation_id=message_of(command).correlation_id)
    nasty = b'<img src=x onerror=alert(1)>\xff\x00\xe2\x80\xae"'
    InboundMessage.objects.filter(pk=heard.pk).update(body=nasty)

    for tab in ("pretty", "raw", "hex"):
        text = viewer(viewer_client, command, m=f"in-{heard.pk}", tab=tab).content.decode()
        assert "<img" not in text
        assert "\u202e" not in text
        assert "\x00" not in text
    assert "It is not JSON" in viewer(viewer_client, command, m=f"in-{heard.pk}").content.decode()


def test_a_message_of_another_command_is_not_shown(viewer_client, command, plant):
    other = ask(plant, mode())

    for key in (f"out-{message_of(other).pk}", "in-987654321", "out-x", "log", "../etc"):
        assert viewer(viewer_client, command, m=key).status_code == 404


def test_a_command_of_which_nothing_was_made_says_so(viewer_client, plant):
    waiting = ask(plant, mode(), due_at=AT + timedelta(hours=1))

    assert "No message was made for it" in viewer(viewer_client, waiting).content.decode()


def test_pretty_json_is_coloured_and_escaped():
    markup = str(readings.pretty(b'{"a": "<b>&", "n": -1.5e3, "ok": true, "k\\"": "x: 1"}'))

    assert '<span class="y">&quot;a&quot;</span>: <span class="s">&quot;&lt;b&gt;&amp;&quot;</span>' in markup
    assert '<span class="n">-1500.0</span>' in markup
    assert '<span class="n">true</span>' in markup
    assert '<span class="s">&quot;x: 1&quot;</span>' in markup
    assert readings.pretty(b"[" * 3000) is None


# --- proof ------------------------------------------------------------------------------------------------------------


def test_the_proof_has_its_figures_and_a_chart_around_the_command(viewer_client, plant):
    command = ask(plant, setpoint(10.0))
    deliver(plant.connection)
    measure(plant, -6.0, since=AT - timedelta(minutes=5), until=AT + timedelta(minutes=20))
    proof = judged(command)

    numbers = viewer_client.get(url(command)).context["numbers"]
    data = viewer_client.get(url(command, "proof"), {"width": "340"}).json()

    assert numbers.title == "4.0\u202fkW short"
    assert ("Asked", "Export 10\u202fkW") in numbers.rows
    assert ("Measured", "Export 6.0\u202fkW") in numbers.rows
    assert data["from"] < proof.from_at.timestamp() * 1000 < data["to"]
    assert data["judged"]["text"] == "Off target"
    assert data["marks"]["command"] == [command.pk]
    assert -6.0 in data["actual"]["grid_import_kw"]
    assert len(data["actual"]["grid_import_kw"]) <= 2 * 340


def test_a_chart_without_a_measurement_is_one_hole_not_a_line_at_zero(viewer_client, plant):
    command = ask(plant, setpoint(10.0))
    deliver(plant.connection)

    data = viewer_client.get(url(command, "proof")).json()

    assert data["gaps"]["from"] == [data["from"]]
    assert all(value is None for value in data["actual"]["grid_import_kw"])


# --- the record -------------------------------------------------------------------------------------------------------


def chained(record: dict) -> bool:
    """Checks the chain as a stranger would, by the rule that the record itself tells."""
    before = record["chain"]["start"]
    for entry in record["entries"]:
        content = {name: entry[name] for name in ("n", "at", "kind", "facts")}
        text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        digest = hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()
        if (entry["prev"], entry["hash"]) != (before, digest):
            return False
        before = digest
    return record["chain"]["last"] == before


def test_a_record_holds_every_message_byte_for_byte_and_its_chain_can_be_checked(viewer_client, command):
    answer = viewer_client.get(url(command, "record-file"))
    record = json.loads(answer.content)

    assert answer["Content-Disposition"] == f'attachment; filename="command-{command.pk}-record.json"'
    assert chained(record)
    sent = next(one for one in record["entries"] if one["kind"] == "message out")
    assert base64.b64decode(sent["facts"]["body_base64"]) == bytes(message_of(command).body)
    assert [one["at"] for one in record["entries"]] == sorted(one["at"] for one in record["entries"])


@pytest.mark.parametrize("harm", ["change", "drop", "swap", "shorten"])
def test_a_record_that_was_tampered_with_breaks_its_chain(viewer_client, command, harm):
    record = json.loads(viewer_client.get(url(command, "record-file")).content)
    entries = record["entries"]
    match harm:
        case "change":
            entries[1]["facts"]["actor"] = "nobody"
        case "drop":
            del entries[1]
        case "swap":
            entries[1], entries[2] = entries[2], entries[1]
        case _:
            del entries[-1]

    assert not chained(record)


def test_two_records_of_the_same_rows_at_the_same_time_are_the_same(viewer_client, command):
    one, two = (json.loads(viewer_client.get(url(command, "record-file")).content) for _ in range(2))

    assert one == two


def test_the_printed_record_shows_the_chain_and_says_what_it_proves(viewer_client, plant):
    command = silent_command(setpoint(10.0), plant=plant)
    explained(command)
    measure(plant, -10.0)
    judged(command, at=DUE)

    answer = viewer_client.get(url(command, "record"))

    text = text_of(answer)
    assert "It does not prove what happened to the stored rows before." in text
    assert f"last hash {answer.context['record'].last}" in text
    assert bytes(message_of(command).body).decode().split('"')[1] in text
