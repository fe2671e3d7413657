"""The gap ledger for people: what is missing, why, what became of it; and the way to it from a plant."""

import pytest

from metering.models import Gap
from tests.admin.pages import page, text_of
from tests.admin.seed import seed
from tests.factories import AT
from tests.standing import standing

pytestmark = pytest.mark.django_db


@pytest.fixture(scope="module")
def installation(django_db_setup, django_db_blocker):
    def make():
        return seed(at=AT, plants=3, commands=2, journal=2, letters=1)

    with standing(django_db_blocker, make, at=AT) as made:
        yield made


@pytest.fixture
def lived_in(installation, db):
    return installation.copy()


def shown(client, **filters):
    answer = client.get(page("metering_gap_changelist"), filters)
    return {gap.pk for gap in answer.context["cl"].result_list}


def of(**facts):
    return set(Gap.objects.filter(**facts).values_list("pk", flat=True))


@pytest.mark.parametrize(
    ("state", "facts"),
    [
        ("open", {"to_at": None}),
        ("unfilled", {"to_at__isnull": False, "filled_at": None, "given_up_at": None}),
        ("filled", {"filled_at__isnull": False}),
        ("given_up", {"given_up_at__isnull": False}),
    ],
)
def test_gaps_are_filtered_by_what_became_of_them(jana, lived_in, state, facts):
    assert shown(jana, state=state) == of(**facts) != set()


def test_gaps_are_filtered_by_plant_stream_and_cause(jana, lived_in):
    plant = lived_in.plants[0]

    assert shown(jana, plant__id__exact=plant.pk) == of(plant=plant)
    assert shown(jana, stream__exact="METER") == of(stream="METER")
    assert shown(jana, cause__exact="LINK_DOWN") == of(cause="LINK_DOWN")


def test_the_list_tells_cause_and_evidence_in_plain_words(jana, lived_in):
    text = text_of(jana.get(page("metering_gap_changelist")))

    assert "Our link to Voke was down" in text
    assert "Our link to Voke was DOWN for 9 min of 10 min." in text
    assert "still silent" in text


def test_a_plants_page_leads_to_its_gaps(jana, lived_in):
    plant = lived_in.plants[0]

    answer = jana.get(page("plants_plant_change", plant.pk))

    assert f"{page('metering_gap_changelist')}?plant__id__exact={plant.pk}" in answer.content.decode()
