"""The command screen in a browser: finding a command, reading its proof and bytes, taking one back, what is new."""

import json

import pytest
from playwright.sync_api import expect

from dispatch.models import Command, Retraction
from dispatch.states import State
from people.rights import Role
from tests import factories
from tests.browser.console.heard import hears_by_hand
from tests.console.seed_commands import hear, seed
from tests.dispatch.helpers import ask, deliver, message_of, mode, setpoint
from tests.factories import AT

pytestmark = pytest.mark.django_db(transaction=True)
LIST = "/console/commands/"


@pytest.fixture
def plant(organisation):
    link = factories.connection(owner=organisation, rest_base_url="")
    return factories.plant(on=link, name="Brewery Přerov")


def accepted(plant) -> Command:
    command = ask(plant, setpoint(10.0))
    deliver(plant.connection)
    hear(command, State.ACCEPTED, "ACK_ACCEPTED", at=AT)
    return command


def no_sideways_scroll(page) -> bool:
    return page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


@pytest.mark.parametrize(("width", "theme"), [(1440, "light"), (390, "dark")])
def test_a_command_is_found_opened_and_its_bytes_are_one_click_away(sign_in, organisation, width, theme):
    made = seed(organisation, at=AT, count=18)
    page = sign_in(Role.VIEWER, width=width, theme=theme)
    page.goto(LIST)

    page.get_by_role("searchbox", name="Search commands").fill(str(made.unanswered.pk))
    page.keyboard.press("Enter")
    page.wait_for_url("**q=*")
    page.locator(f"#row-{made.unanswered.pk}").click()

    expect(page.get_by_role("heading", name="Voke did not answer")).to_be_visible()
    expect(page.get_by_text("Do not send it again:")).to_be_visible()
    assert f"/commands/{made.unanswered.pk}/" in page.url
    page.locator("#message").get_by_role("link", name="Raw").click()
    body = bytes(message_of(made.unanswered).body).decode()
    expect(page.locator("#message pre")).to_have_text(body)
    expect(page.get_by_text("Signature matches")).to_be_visible()
    assert no_sideways_scroll(page)


def test_the_proof_is_drawn_beside_the_verdict(sign_in, organisation):
    made = seed(organisation, at=AT, count=18)
    page = sign_in(Role.VIEWER)
    page.goto(f"{LIST}{made.off_target.pk}/")

    expect(page.locator("#proof-chart canvas")).to_be_visible()
    expect(page.get_by_role("heading", name="Reported done, but the measurement disagrees")).to_be_visible()


def test_taking_back_is_reviewed_first_and_the_page_then_shows_what_the_database_holds(sign_in, plant):
    command = accepted(plant)
    page = sign_in(Role.OPERATOR)
    page.goto(f"{LIST}{command.pk}/")

    page.get_by_role("link", name="Take back").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name="Take back the command to Brewery Přerov?")).to_be_visible()
    expect(dialog.get_by_text("One message: the plant's base mode, Standard, is sent.")).to_be_visible()
    assert not Retraction.objects.exists()
    dialog.get_by_label("Reason").fill("Wrong plant")
    dialog.get_by_role("button", name="Take back").click()

    expect(page.get_by_text("is taken back by")).to_be_visible()
    expect(dialog).to_have_count(0)
    assert Retraction.objects.get().reason == "Wrong plant"


def test_keys_move_through_the_list_and_open(sign_in, plant):
    made = [ask(plant, mode()).pk for _ in range(3)]
    page = sign_in(Role.VIEWER)
    page.goto(LIST)

    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("Enter")

    expect(page.locator("#life")).to_have_attribute("data-id", str(made[1]))
    expect(page.locator(f"#row-{made[1]}")).to_have_attribute("aria-current", "true")


def test_the_record_is_printed_black_on_white_whatever_the_theme(sign_in, plant):
    command = accepted(plant)
    page = sign_in(Role.VIEWER, theme="dark")
    page.goto(f"{LIST}{command.pk}/record/")
    page.emulate_media(media="print")

    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    expect(page.get_by_role("button", name="Print")).to_be_hidden()
    with page.expect_download() as download:
        page.emulate_media(media="screen")
        page.get_by_role("link", name="Download as JSON").click()
    record = json.loads(download.value.path().read_text())
    assert record["chain"]["last"] == record["entries"][-1]["hash"]


def test_what_happens_changes_chips_in_place_marks_the_verdict_and_inserts_nothing_by_itself(sign_in, plant):
    command = ask(plant, mode())
    deliver(plant.connection)
    page = sign_in(Role.VIEWER)
    hears_by_hand(page)
    page.goto(f"{LIST}{command.pk}/")
    expect(page.get_by_role("heading", name="Sent, Voke has not answered yet")).to_be_visible()
    page.locator("#list").hover()

    hear(command, State.ACCEPTED, "ACK_ACCEPTED", at=AT)
    newer = ask(plant, mode())
    page.evaluate("id => tell('command', {id, state: 'ACCEPTED'})", command.pk)
    page.evaluate("id => tell('command', {id, state: 'QUEUED'})", newer.pk)

    expect(page.locator(f"#row-{command.pk} .chip")).to_have_attribute("data-state", "ACCEPTED")
    expect(page.get_by_role("heading", name="Accepted, not carried out yet")).to_be_visible()
    expect(page.locator("#verdict .upd")).to_be_visible()
    expect(page.get_by_text("1 new")).to_be_visible()
    expect(page.locator(f"#row-{newer.pk}")).to_have_count(0)
    page.get_by_text("1 new").click()
    expect(page.locator(f"#row-{newer.pk}")).to_be_visible()
    expect(page.locator(f"#row-{command.pk}")).to_have_attribute("aria-current", "true")
