"""The admin's main jobs in a real browser: enter, add a plant, send and follow a command, issue credentials."""

import json
import shlex

import pytest
from django.contrib import admin
from django.urls import reverse
from playwright.sync_api import Page, expect

from dispatch.models import Command, EmergencyLatch
from dispatch.states import State
from plants.models import Plant
from schedules.models import DayPlan, PlanState, PlanVersion
from tests import factories
from tests.admin.seed import seed
from tests.factories import AT
from trading_api.models import Credential

pytestmark = pytest.mark.django_db(transaction=True)

BLOCKS = (("00:00", "06:00", "-10", "60", "20", "95"), ("06:00", "24:00", "-120", "120", "10", "95"))
COLUMNS = ("start", "end", "p_bat_min_kw", "p_bat_max_kw", "soc_min_pct", "soc_max_pct")


def test_a_wrong_password_is_refused_in_words_and_the_right_one_enters(open_page, admin_user):
    page = open_page()
    page.goto("/admin/")
    page.get_by_label("User name").fill("jana")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_text("User name or password is not right")).to_be_visible()
    page.get_by_label("Password").fill("correct horse battery")
    page.get_by_role("button", name="Sign in").click()

    expect(page.get_by_role("heading", name="Needs a person")).to_be_visible()


def fill_row(page: Page, prefix: str, index: int, values: dict[str, str]) -> None:
    for name, value in values.items():
        field = page.locator(f"#id_{prefix}-{index}-{name}")
        if field.evaluate("field => field.tagName") == "SELECT":
            field.select_option(value)
        else:
            field.fill(value)


def test_a_plant_is_added_with_assets_and_blocks_and_a_mistake_is_shown_at_its_row(enter):
    organisation = factories.organisation(name="Moravia Flex")
    page = enter()
    page.goto(reverse("admin:plants_plant_add"))
    page.locator("#id_organisation").select_option(label="Moravia Flex")
    page.locator("#id_name").fill("Brewery Přerov")
    page.locator("#id_external_plant_id").fill("PREROV-02")
    page.get_by_text("Add another Asset").click()
    fill_row(page, "assets", 0, {"external_id": "B1", "asset_type": "BESS", "rated_power_kw": "120"})
    for index, row in enumerate(BLOCKS):
        page.get_by_text("Add another Time-config block").click()
        fill_row(page, "time_config_blocks", index, dict(zip(COLUMNS, row, strict=True)))
    fill_row(page, "time_config_blocks", 1, {"p_bat_max_kw": "121"})
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.get_by_text("the battery charges with at most 120 kW")).to_be_visible()
    fill_row(page, "time_config_blocks", 1, {"p_bat_max_kw": "120"})
    page.get_by_role("button", name="Save", exact=True).click()

    expect(page.get_by_text("was added successfully")).to_be_visible()
    plant = Plant.objects.get(external_plant_id="PREROV-02")
    assert (plant.organisation, plant.time_config.blocks.count(), plant.assets.count()) == (
        organisation,
        2,
        1,
    )


def test_a_setpoint_is_checked_reviewed_sent_and_followed_to_its_bytes(enter):
    plant = factories.plant(name="Brewery Přerov", max_export_kw=300.0)
    page = enter()
    page.goto(reverse("admin:plants_plant_change", args=[plant.pk]))
    page.get_by_role("link", name="Send a command").last.click()
    page.locator("#id_direction").select_option("EXPORT")
    page.locator("#id_target_value_kw").fill("320")
    page.locator("#id_valid_until").fill("2026-01-02T04:30:00")
    page.get_by_role("button", name="Dry run").click()

    expect(page.get_by_text("320 kW is over the site's export limit of 300 kW")).to_be_visible()
    page.locator("#id_target_value_kw").fill("275")
    page.get_by_role("button", name="Review").click()
    expect(page.get_by_role("heading", name="Export 275 kW: send it to Brewery Přerov?")).to_be_visible()
    page.get_by_role("button", name="Send", exact=True).click()

    expect(page.get_by_role("heading", name="From request to proof")).to_be_visible()
    expect(page.locator(".timeline")).to_contain_text("Requested")
    expect(page.locator(".timeline")).to_contain_text("Queued")
    expect(page.get_by_text("Signature not required")).to_be_visible()
    page.locator("summary", has_text="Hex").first.click()
    expect(page.locator(".hex").first).to_contain_text("7b 22")
    assert Command.objects.get().state == State.QUEUED


def test_an_emergency_is_confirmed_on_its_own_page_and_released_with_a_reason(enter):
    plant = factories.plant(name="Brewery Přerov")
    page = enter()
    page.goto(reverse("admin:plants_plant_change", args=[plant.pk]))
    page.locator(f"a[href='{reverse('admin:plants_plant_emergency', args=[plant.pk])}']").click()
    page.get_by_label("Hold: keep the present state").check()
    page.locator("#id_reason").fill("Smoke in the battery hall")
    page.get_by_role("button", name="Send the emergency to Brewery Přerov").click()
    expect(page.get_by_role("heading", name="Emergency hold")).to_be_visible()

    page.goto(reverse("admin:plants_plant_change", args=[plant.pk]))
    expect(page.get_by_text("Latched by an emergency: HOLD")).to_be_visible()
    page.get_by_role("link", name="Release", exact=True).click()
    page.locator("#id_reason").fill("False alarm")
    page.get_by_role("button", name="Release", exact=True).click()

    expect(page.get_by_role("heading", name="Mode: standard")).to_be_visible()
    assert EmergencyLatch.objects.get().release_reason == "False alarm"


def test_a_day_is_planned_a_mistake_is_shown_at_its_slot_it_is_published_and_cancelled(enter):
    plant = factories.plant(name="Brewery Přerov", max_import_kw=100.0, capacity_kwh=0.0)
    page = enter()
    page.goto(reverse("admin:plants_plant_change", args=[plant.pk]))
    page.get_by_role("link", name="Plan a day").first.click()
    page.get_by_role("button", name="Continue").click()
    page.locator("select[name=fill_first]").select_option(label="10:00")
    page.locator("select[name=fill_last]").select_option(label="11:00")
    page.get_by_placeholder("How much").fill("20")
    page.get_by_role("button", name="Fill in").click()
    page.get_by_label("How much, 10:30-10:45").fill("120")
    page.get_by_role("button", name="Save and check").click()

    row = page.get_by_role("row", name="10:30-10:45")
    expect(row).to_contain_text("120 kW is over the site's import limit of 100 kW; 100 kW would fit")
    page.get_by_role("link", name="Edit the slots").click()
    page.get_by_label("How much, 10:30-10:45").fill("100")
    page.get_by_role("button", name="Save and check").click()
    expect(page.get_by_text("1 warning to be accepted")).to_be_visible()
    plan = DayPlan.objects.get()
    page.locator(f"a[href='{reverse('admin:schedules_dayplan_publish_open', args=[plan.pk])}']").click()
    page.get_by_label("Publish in spite of the warnings").check()
    page.get_by_role("button", name="Publish", exact=True).click()
    expect(page.get_by_role("row", name="10:30-10:45")).to_contain_text("Waiting")

    page.goto(reverse("admin:schedules_dayplan_cancel", args=[plan.pk]))
    page.locator("#id_reason").fill("The contract ended")
    page.get_by_role("button", name="Cancel the plan").click()
    expect(page.get_by_text("Nothing more of it is sent")).to_be_visible()
    assert list(PlanVersion.objects.values_list("state", flat=True)) == [PlanState.CANCELLED]


def test_a_file_of_plans_is_chosen_shown_and_imported(enter):
    plant = factories.plant(name="Brewery Přerov")
    rows = f"plant,start,type,value,direction\n{plant.external_plant_id},2026-01-03 10:00,POWER,5,IMPORT\n"
    page = enter()
    page.goto(reverse("admin:schedules_dayplan_import"))
    page.locator("#id_organisation").select_option(label=plant.organisation.name)
    page.locator("#id_file").set_input_files(
        {"name": "plans.csv", "mimeType": "text/csv", "buffer": rows.encode()}
    )
    page.get_by_role("button", name="Show what it would do").click()
    page.get_by_role("button", name="Import 1 plan", exact=True).click()

    expect(page.get_by_text("1 draft made from plans.csv")).to_be_visible()
    assert PlanVersion.objects.get().state == PlanState.DRAFT


def test_credentials_are_issued_the_secret_is_copied_once_and_gone_afterwards(enter):
    factories.organisation(name="Moravia Flex")
    page = enter()
    page.goto(reverse("admin:trading_api_credential_add"))
    page.locator("#id_organisation").select_option(label="Moravia Flex")
    page.get_by_role("button", name="Issue").click()
    line = page.locator("#curl").inner_text()
    page.get_by_role("button", name="Copy the line").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    copied = page.evaluate("navigator.clipboard.readText()")
    body = shlex.split(line)[-1]
    answer = page.request.post("/trading/token", data=body, headers={"Content-Type": "application/json"})
    page.get_by_role("link", name="I have the secret").click()
    expect(page.get_by_text("Enabled")).to_be_visible()

    assert copied == line
    assert (answer.status, "accessToken" in answer.json()) == (200, True)
    assert json.loads(body)["clientSecret"] not in page.content()
    assert Credential.objects.count() == 1


def test_a_plant_is_picked_by_typing_and_plants_are_attached_that_way(enter):
    link = factories.connection(name="Voke production")
    factories.plant(on=factories.connection(owner=link.organisation), name="Brewery Přerov")
    page = enter()
    page.goto(reverse("admin:plants_connection_attach", args=[link.pk]))
    page.locator(".select2-selection").click()
    page.keyboard.type("brew")
    page.locator(".select2-results__option", has_text="Brewery Přerov").click()
    page.get_by_role("button", name="Attach", exact=True).click()

    expect(page.get_by_text("1 plant attached.")).to_be_visible()


def test_filters_narrow_the_list_of_commands(enter):
    seed(at=AT, plants=8, commands=18)
    page = enter()
    page.goto(reverse("admin:dispatch_command_changelist"))
    page.locator("a", has_text="Filters").first.click()
    page.locator("#changelist-filter select[name=state]").select_option("REJECTED")
    page.get_by_role("button", name="Apply Filters").click()

    expect(page.locator("#result_list tbody")).to_have_count(1)
    expect(page.locator("#result_list")).to_contain_text("It breaks a limit of the site")


def addresses() -> list[str]:
    """Every list, and the page of the first row of each."""
    found = [reverse("admin:index")]
    for model in admin.site._registry:
        name = f"admin:{model._meta.app_label}_{model._meta.model_name}"
        found.append(reverse(f"{name}_changelist"))
        row = model._default_manager.first()
        if row is not None:
            found.append(reverse(f"{name}_change", args=[row.pk]))
    plant, emergency = Plant.objects.first(), reverse("admin:dispatch_command_emergency")
    send = reverse("admin:dispatch_command_send")
    return [
        *found,
        reverse("admin:plants_plant_add"),
        reverse("admin:plants_connection_add"),
        *(f"{send}?plant={plant.pk}&kind={kind}" for kind in ("site-setpoint", "device", "mode")),
        f"{emergency}?plants={plant.pk}",
    ]


LOOKS = ((1440, "dark"), (390, "dark"), (390, "light"))


@pytest.mark.timeout(600)
def test_every_page_opens_without_an_error_and_without_scrolling_sideways(enter):
    seed(at=AT, plants=8, commands=18, journal=8, letters=4)
    page = enter(width=LOOKS[0][0], theme=LOOKS[0][1])

    wrong = {}
    for address in addresses():
        status = page.goto(address).status
        if status != 200:
            wrong[address] = status
        for width, theme in LOOKS:
            page.set_viewport_size({"width": width, "height": 900})
            page.emulate_media(color_scheme=theme)
            beyond = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            if beyond > 0:
                wrong[address, width, theme] = beyond
        page.set_viewport_size({"width": LOOKS[0][0], "height": 900})
        page.emulate_media(color_scheme=LOOKS[0][1])

    assert wrong == {}
