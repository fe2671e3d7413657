"""Plans from a file: what is wrong and what would change is shown before anything is kept."""

import re
from datetime import timedelta
from typing import Any

from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from people.models import AuditEntry
from plants.models import Plant, User
from schedules.models import PlanUpload, PlanVersion
from tests import factories
from tests.console.plans.test_day_page import TODAY, TOMORROW, address, document
from tests.console.seed_plans import draft_of, published
from tests.factories import AT

HEADER = "plant,start,type,value,direction\n"


def upload(client: Client, text: str) -> Any:
    file = SimpleUploadedFile("tomorrow.csv", text.encode(), content_type="text/csv")
    return client.post("/console/plans/import/", {"file": file})


def digest(page: Any) -> str:
    found = re.search(r'name="digest" value="([^"]+)"', page.content.decode())
    assert found is not None
    return found[1]


def test_a_file_is_shown_then_kept_as_a_draft(operator_client: Client, plant: Plant) -> None:
    sent = upload(operator_client, f"{HEADER}PREROV-02,{TOMORROW} 10:00,POWER,12,EXPORT\n")
    page = operator_client.get(sent.headers["Location"])

    done = operator_client.post(sent.headers["Location"], {"digest": digest(page), "do": "import"})

    assert done.headers["Location"] == address(plant, TOMORROW)
    assert PlanVersion.objects.get().slots.count() == 1
    assert AuditEntry.objects.get().action == "plan.imported"
    assert not PlanUpload.objects.exists()


def test_each_wrong_row_is_named_and_nothing_can_be_kept(operator_client: Client, plant: Plant) -> None:
    sent = upload(
        operator_client,
        f"{HEADER}PREROV-02,{TOMORROW} 10:07,POWER,12,EXPORT\nNOBODY,{TOMORROW} 10:00,POWER,x,EXPORT\n",
    )

    page = operator_client.get(sent.headers["Location"]).content.decode()

    assert "2 rows are wrong" in page
    assert "NOT_ON_GRID" in page and "PLANT_NOT_FOUND" in page
    assert 'value="import"' not in page


def test_a_file_that_is_none_is_refused_at_its_field(operator_client: Client, plant: Plant) -> None:
    answer = upload(operator_client, "what,is,this\n1,2,3\n")

    assert answer.status_code == 422
    assert "COLUMN_MISSING" in answer.content.decode()


def test_a_day_that_changed_since_the_preview_is_previewed_again(
    operator_client: Client, plant: Plant
) -> None:
    draft_of(plant, TOMORROW, at=AT)
    sent = upload(operator_client, f"{HEADER}PREROV-02,{TOMORROW} 10:00,POWER,12,EXPORT\n")
    old = digest(operator_client.get(sent.headers["Location"]))
    draft_of(plant, TOMORROW, at=AT, scale=0.5)

    answer = operator_client.post(sent.headers["Location"], {"digest": old})

    assert answer.status_code == 409
    assert "PLAN_CHANGED" in answer.content.decode()
    assert digest(answer) != old


def test_a_file_is_its_uploaders_own(operator_client: Client, engineer_client: Client, plant: Plant) -> None:
    sent = upload(operator_client, f"{HEADER}PREROV-02,{TOMORROW} 10:00,POWER,12,EXPORT\n")

    assert engineer_client.get(sent.headers["Location"]).status_code == 404


def test_plants_of_others_are_no_plants_of_the_file(operator_client: Client) -> None:
    factories.plant(external_plant_id="THEIRS")
    sent = upload(operator_client, f"{HEADER}THEIRS,{TOMORROW} 10:00,POWER,12,EXPORT\n")

    assert "PLANT_NOT_FOUND" in operator_client.get(sent.headers["Location"]).content.decode()


def test_throwing_a_file_away_keeps_nothing(operator_client: Client, plant: Plant) -> None:
    sent = upload(operator_client, f"{HEADER}PREROV-02,{TOMORROW} 10:00,POWER,12,EXPORT\n")

    operator_client.post(sent.headers["Location"], {"do": "drop"})

    assert not PlanUpload.objects.exists() and not PlanVersion.objects.exists()


def test_an_exported_day_comes_back_through_the_import_as_it_was(
    operator_client: Client, plant: Plant
) -> None:
    published(plant, TODAY, at=AT - timedelta(hours=8))
    before = document(operator_client, plant, TODAY)["rows"]
    text = operator_client.get(address(plant, TODAY, "export/")).content.decode()

    sent = upload(operator_client, text)
    page = operator_client.get(sent.headers["Location"])

    assert "No change" in page.content.decode()
    operator_client.post(sent.headers["Location"], {"digest": digest(page)})
    assert document(operator_client, plant, TODAY)["rows"] == before


def test_a_kept_file_that_can_no_longer_be_read_is_told_so(operator_client: Client, plant: Plant) -> None:
    kept = PlanUpload.objects.create(
        organisation=plant.organisation,
        name="plans.csv",
        content=b"not,a,plan\n1,2,3\n",
        by=User.objects.get(username="operator"),
        made_at=AT,
    )

    answer = operator_client.get(f"/console/plans/import/{kept.pk}/")

    assert answer.status_code == 422
    assert "CSV file" in answer.content.decode()


def test_what_is_over_or_has_begun_is_told_before_it_is_kept(operator_client: Client, plant: Plant) -> None:
    yesterday = TODAY - timedelta(days=1)
    rows = [f"{day} {hour}:00,POWER,12,EXPORT" for day in (yesterday, TODAY) for hour in ("02", "03", "20")]

    sent = upload(operator_client, HEADER + "".join(f"PREROV-02,{row}\n" for row in rows))
    page = operator_client.get(sent.headers["Location"]).content.decode()

    assert "Brewery Přerov" in page
    assert page.count("can&#x27;t be published any more") + page.count("can't be published any more") == 1
    assert "2 slots have begun" in page


def test_a_draft_of_a_day_that_is_over_can_be_thrown_away(operator_client: Client, plant: Plant) -> None:
    yesterday = TODAY - timedelta(days=1)
    draft_of(plant, yesterday, at=AT)

    page = operator_client.get(address(plant, yesterday)).content.decode()

    assert "data-needs-draft" in page
    assert "data-publish" not in page
