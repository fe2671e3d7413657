"""Plans from a file: shown with what is wrong and what would change, then confirmed by who uploaded it."""

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from esm.asgi import IMPORT_PATHS
from schedules.models import PlanState, PlanUpload, PlanVersion
from tests import factories
from tests.admin.pages import page, text_of

pytestmark = pytest.mark.django_db

HEAD = "plant,start,type,value,direction\n"
UPLOAD = "schedules_dayplan_import"
CONFIRM = "schedules_dayplan_import_confirm"


@pytest.fixture
def plant():
    return factories.plant(name="Brewery Přerov", max_import_kw=100.0)


def upload(client, plant, *rows, name="tomorrow.csv"):
    content = (HEAD + "".join(f"{row}\n" for row in rows)).encode()
    file = SimpleUploadedFile(name, content, content_type="text/csv")
    return client.post(page(UPLOAD), {"organisation": plant.organisation_id, "file": file})


def confirm(client, shown):
    return client.post(
        shown.request["PATH_INFO"], {"digest": shown.context["form"]["digest"].value(), "do": "import"}
    )


def test_the_server_lets_files_through_where_they_are_uploaded():
    assert (reverse("admin:schedules_dayplan_import"), reverse("console:plans:import")) == IMPORT_PATHS


def test_a_file_is_shown_first_and_confirmed_as_drafts(jana, plant):
    row = f"{plant.external_plant_id},2026-01-03 10:00,POWER,12,IMPORT"
    shown = jana.get(upload(jana, plant, row).url)
    before = PlanVersion.objects.count()

    done = confirm(jana, shown)

    assert before == 0
    assert "10:00-10:15 added: import 12 kW" in text_of(shown)
    assert (done.status_code, PlanVersion.objects.get().state) == (302, PlanState.DRAFT)
    assert not PlanUpload.objects.exists()


def test_what_is_wrong_stands_with_its_line_and_column_and_cannot_be_confirmed(jana, plant):
    wrong = upload(
        jana,
        plant,
        f"{plant.external_plant_id},2026-01-03 10:00,POWER,much,IMPORT",
        "nobody,x,POWER,1,IMPORT",
    )

    shown = jana.get(wrong.url)
    confirm(jana, shown)

    text = text_of(shown)
    assert "2 value 'much' is no number" in text
    assert "Nothing is imported until the file has none" in text
    assert not PlanVersion.objects.exists()


def test_a_file_that_is_no_table_is_refused_at_its_field(jana, plant):
    file = SimpleUploadedFile("plan.csv", b"\xff\xfe\x00", content_type="text/csv")

    answer = jana.post(page(UPLOAD), {"organisation": plant.organisation_id, "file": file})

    assert "UTF-8" in " ".join(answer.context["form"].errors["file"])
    assert not PlanUpload.objects.exists()


def test_somebody_elses_file_is_not_shown(jana, plant, staff):
    row = f"{plant.external_plant_id},2026-01-03 10:00,POWER,12,IMPORT"
    url = upload(jana, plant, row).url
    other = staff("schedules.view_dayplan", "schedules.change_dayplan")

    answer = other.get(url)

    assert (answer.status_code, answer.url) == (302, page(UPLOAD))


def test_a_plan_that_changed_since_the_preview_is_shown_anew_and_not_overwritten(jana, plant):
    first = upload(jana, plant, f"{plant.external_plant_id},2026-01-03 10:00,POWER,12,IMPORT")
    second = upload(jana, plant, f"{plant.external_plant_id},2026-01-03 10:00,POWER,20,IMPORT")
    shown = jana.get(second.url)
    confirm(jana, jana.get(first.url))

    refused = confirm(jana, shown)

    assert refused.url == second.url
    assert "changed: import 12 kW -> import 20 kW" in text_of(jana.get(second.url))
    assert PlanVersion.objects.get().slots.get().value == 12


def test_a_file_may_be_thrown_away(jana, plant):
    shown = jana.get(upload(jana, plant, f"{plant.external_plant_id},2026-01-03 10:00,POWER,12,IMPORT").url)

    jana.post(shown.request["PATH_INFO"], {"do": "drop"})

    assert not PlanUpload.objects.exists()
    assert not PlanVersion.objects.exists()
