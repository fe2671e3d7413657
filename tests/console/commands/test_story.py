"""One command's page: the verdict in words, the seven steps, the diagnosis, the timeline, what may be done."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse

from console.commands.life import life_of
from console.commands.strip import steps_of
from console.commands.timeline import awaited, timeline_of
from console.commands.verdict import verdict_of
from dispatch.models import Command
from dispatch.services.life import advance
from dispatch.states import State
from plants.models import LinkHealth, LinkState
from plants.services.link_health import note_link
from tests import factories
from tests.admin.pages import text_of
from tests.console.seed_commands import hear, seed
from tests.dispatch.helpers import ask, deliver, message_of, mode, setpoint
from tests.dispatch.proof_world import DUE, judged, measure
from tests.dispatch.silences import LATER, explained, silent_command
from tests.factories import AT
from tests.queries import queries_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def plant(organisation):
    link = factories.connection(owner=organisation, rest_base_url="")
    return factories.plant(on=link, name="Brewery Přerov")


def url(command, name: str = "command") -> str:
    return reverse(f"console:commands:{name}", args=[command.pk])


def life(command, *, at=LATER):
    return life_of(organisation_id=command.organisation_id, command_id=command.pk, at=at)


def steps(command, **how) -> dict[str, str]:
    """Each step's name and whether it is known ('hollow' where not)."""
    return {step.name: "hollow" if step.hollow else step.family for step in steps_of(life(command, **how))}


def sent(plant, payload) -> Command:
    command = ask(plant, payload)
    deliver(plant.connection, at=AT + timedelta(milliseconds=20))
    command.refresh_from_db()
    return command


# --- steps ------------------------------------------------------------------------------------------------------------


def test_a_step_that_nobody_told_stays_hollow_even_where_later_ones_are_known(plant):
    command = sent(plant, setpoint(10.0))
    hear(command, State.COMPLETED, "EXECUTION_COMPLETED", at=AT + timedelta(seconds=9))

    assert steps(command) == {
        "Requested": "ok",
        "Made": "ok",
        "Sent": "ok",
        "Broker": "ok",
        "ACK": "hollow",
        "Completed": "ok",
        "Verified": "hollow",
    }
    ack = steps_of(life(command))[4]
    assert (ack.family, ack.caption, ack.broken) == ("doubt", "not told", True)
    assert steps_of(life(command))[5].broken


def test_the_broker_is_not_known_because_voke_answered(plant):
    command = ask(plant, mode())
    message = message_of(command)
    message.attempted_at = AT
    message.save()
    hear(command, State.ACCEPTED, "ACK_ACCEPTED", at=AT + timedelta(seconds=1))

    assert steps(command)["Broker"] == "hollow"
    assert steps(command)["ACK"] == "ok"


def test_a_command_that_waits_for_its_time_has_made_one_step(plant):
    command = ask(plant, mode(), due_at=AT + timedelta(hours=2))

    assert list(steps(command).values()) == ["ok", *["hollow"] * 6]
    assert verdict_of(life(command)).title == "Waits for 06:00"


def test_a_device_or_mode_command_is_never_shown_as_verified(plant):
    command = sent(plant, mode())
    for word, cause in (("ACCEPTED", "ACK_ACCEPTED"), ("COMPLETED", "EXECUTION_COMPLETED")):
        hear(command, State(word), cause, at=AT + timedelta(seconds=5))

    assert steps(command)["Verified"] == "hollow"
    assert verdict_of(life(command)).title == "The site reports that it is done"


# --- verdicts ---------------------------------------------------------------------------------------------------------


def test_accepted_is_not_done(plant):
    command = sent(plant, setpoint(10.0))
    hear(command, State.ACCEPTED, "ACK_ACCEPTED", at=AT + timedelta(seconds=1))

    said = verdict_of(life(command))

    assert said.title == "Accepted, not carried out yet"
    assert said.family == "move"
    assert said.do_not_resend


@pytest.mark.parametrize(
    ("measured_kw", "title", "chip"),
    [
        (-10.1, "Done, and proven by measurement", "Verified"),
        (-4.0, "Reported done, but the measurement disagrees", "6.0\u202fkW short"),
        (-16.0, "Reported done, but the measurement disagrees", "6.0\u202fkW over"),
        (None, "Reported done, not proven by measurement", "Not measured"),
    ],
)
def test_done_is_what_the_measurement_says(viewer_client, plant, measured_kw, title, chip):
    command = sent(plant, setpoint(10.0))
    hear(command, State.ACCEPTED, "ACK_ACCEPTED", at=AT + timedelta(seconds=1))
    hear(command, State.COMPLETED, "EXECUTION_COMPLETED", at=AT + timedelta(minutes=15))
    if measured_kw is not None:
        measure(plant, measured_kw)
    judged(command)

    assert verdict_of(life(command, at=DUE)).title == title
    answer = viewer_client.get(url(command))
    assert chip in [one.word for one in answer.context["chips"]]


def test_an_import_that_is_not_reached_is_short_too(viewer_client, plant):
    command = sent(plant, setpoint(10.0, direction="IMPORT"))
    measure(plant, 4.0)
    judged(command)

    assert "6.0\u202fkW short" in [one.word for one in viewer_client.get(url(command)).context["chips"]]


def test_a_plant_that_follows_without_an_answer_is_told_apart_from_one_that_does_not(plant):
    command = silent_command(setpoint(10.0), plant=plant)
    assert verdict_of(life(command)).title == "Voke did not answer"

    measure(plant, -10.0)
    judged(command)

    assert verdict_of(life(command, at=DUE)).title == "It worked, but Voke's answer never reached us"


def test_a_resend_is_warned_of_where_it_could_double_and_only_there(plant):
    silent = silent_command(plant=plant)
    unsent = ask(plant, mode())
    advance(command_id=unsent.pk, to=State.CANCELLED, at=AT, cause="CANCELLED")
    rejected = sent(plant, mode())
    hear(rejected, State.REJECTED, "CONSTRAINT_VIOLATION", at=AT)

    assert verdict_of(life(silent)).do_not_resend
    assert not verdict_of(life(unsent)).do_not_resend
    assert not verdict_of(life(rejected)).do_not_resend


def test_the_mark_of_a_verdict_changes_with_its_words_only(plant):
    command = sent(plant, mode())
    before = verdict_of(life(command)).mark
    assert verdict_of(life(command)).mark == before

    hear(command, State.ACCEPTED, "ACK_ACCEPTED", at=AT)

    assert verdict_of(life(command)).mark != before


@pytest.mark.parametrize(
    ("state", "code", "title", "text"),
    [
        (LinkState.CONNECTED, "", "Made, and waits to be sent", "the relay sends it next"),
        (
            LinkState.REFUSED,
            "REFUSED_CREDENTIALS",
            "Made, and waits for the connection",
            "can't leave: User name or API key refused",
        ),
    ],
)
def test_a_command_that_waits_is_sent_next_only_while_the_link_is_up(plant, state, code, title, text):
    command = ask(plant, setpoint(10.0))
    note_link(
        connection_id=plant.connection_id,
        role=LinkHealth.Role.PUBLISH,
        state=state,
        error_code=code,
        at=LATER,
    )

    said = verdict_of(life(command))

    assert said.title == title
    assert text in said.text


def test_only_what_was_signed_is_called_so(plant):
    titles = [verdict_of(life(ask(plant, payload))).title for payload in (mode(), setpoint(10.0))]

    assert titles == ["Signed, and waits for the connection", "Made, and waits for the connection"]


def test_a_command_without_a_last_moment_waits_until_it_is_delivered(plant):
    command = ask(plant, setpoint(10.0))
    Command.objects.filter(pk=command.pk).update(deliver_by_at=None)

    assert awaited(life(command)) == ("Waits for the relay; is sent until it is delivered or withdrawn", None)


# --- timeline ---------------------------------------------------------------------------------------------------------


def test_the_timeline_tells_offsets_and_the_length_of_a_silence(plant):
    command = silent_command(mode(), plant=plant)

    told = [(entry.kind, entry.offset, entry.title) for entry in timeline_of(life(command))]

    assert told[0] == ("", "04:00:00.000", "Requested")
    assert ("", "+ 0\u202fms", "Signed and stored") in told
    assert ("gap", "60.0\u202fs", "Silence for 60.0\u202fs") in told
    assert told[-1] == ("ahead", "", "Only a word from Voke corrects this")


def test_a_late_word_stands_where_it_arrived_and_says_when_it_was_said(plant):
    command = silent_command(mode(), plant=plant)
    hear(
        command,
        State.ACCEPTED,
        "ACK_ACCEPTED",
        at=LATER + timedelta(seconds=50),
        late=timedelta(seconds=100),
    )

    entries = timeline_of(life(command, at=LATER + timedelta(minutes=5)))
    titles = [entry.title for entry in entries]

    assert titles.index("Accepted") > titles.index("ACK overdue")
    late = entries[titles.index("Accepted")]
    assert late.kind == "late"
    assert late.marks == ("Late: said at 04:00:10.000, arrived 100.0\u202fs after",)


def test_a_word_that_changed_nothing_says_so(plant):
    command = sent(plant, mode())
    hear(command, State.COMPLETED, "EXECUTION_COMPLETED", at=AT + timedelta(seconds=2))
    hear(command, State.ACCEPTED, "ACK_ACCEPTED", at=AT + timedelta(seconds=3))

    marks = {entry.title: entry.marks for entry in timeline_of(life(command))}

    assert marks["Accepted"] == ("Too late to matter: it changed nothing",)


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_tells_the_diagnosis_with_proofs_first_and_the_next_step(viewer_client, organisation):
    plant = factories.plant(on=factories.connection(owner=organisation, signed_families=[]))
    command = silent_command(mode(), plant=plant)
    explained(command)

    text = text_of(viewer_client.get(url(command)))

    for words in (
        "Voke did not answer",
        "The signature is missing.",
        "1 proof, certain",
        "command.mode must be signed, and was sent without",
        "Next: Sign this family.",
        "Signature required and absent.",
    ):
        assert words in text
    assert text.index("must be signed, and was sent without") < text.index("Clocks")


def test_the_report_to_copy_holds_voke_s_ids_and_no_key(viewer_client, plant):
    command = silent_command(mode(), plant=plant)
    explained(command)

    report = viewer_client.get(url(command)).context["report"]

    assert str(message_of(command).message_id) in report
    assert "Voke did not answer" in report
    assert factories.SIGNING_KEY not in report


def test_no_page_of_a_command_holds_a_secret_or_an_inline_style(viewer_client, organisation):
    made = seed(organisation, at=AT, count=18)

    for command in (made.verified, made.unanswered, made.every[0]):
        for name in ("command", "record", "record-file"):
            text = viewer_client.get(url(command, name)).content.decode()
            assert factories.SIGNING_KEY not in text
            assert "amqps://" not in text
            assert not re.search(r"\sstyle=|\son[a-z]+=|<script>|hx-on", text)


def test_a_page_takes_a_fixed_number_of_queries_whatever_happened_to_its_command(viewer_client, plant):
    plain = sent(plant, mode())
    busy = silent_command(mode(), plant=plant)
    explained(busy)
    for number in range(6):
        hear(busy, State.EXECUTING, "EXECUTION_EXECUTING", at=LATER + timedelta(seconds=number))
    viewer_client.get(url(plain))

    first = queries_of(lambda: viewer_client.get(url(plain)))
    assert queries_of(lambda: viewer_client.get(url(busy))) == first
    part = queries_of(
        lambda: viewer_client.get(url(busy), headers={"HX-Request": "true", "HX-Target": "command"})
    )
    assert part <= 8


def test_a_part_of_the_page_is_answered_alone(viewer_client, plant):
    command = sent(plant, mode())

    def part(target: str) -> str:
        return viewer_client.get(
            url(command), headers={"HX-Request": "true", "HX-Target": target}
        ).content.decode()

    assert part("command").lstrip().startswith('<section class="cm"')
    assert "<html" not in part("list") + part("message") + part("command")
    assert 'class="rws"' in part("list")
    assert "Signature matches" in part("message")


def test_nothing_is_shown_to_people_who_are_not_signed_in(client, plant):
    command = sent(plant, mode())

    assert client.get(url(command)).status_code == 302
    answer = client.get(url(command), headers={"HX-Request": "true"})
    assert (answer.status_code, "HX-Redirect" in answer) == (204, True)
