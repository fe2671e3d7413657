"""How often a plant is expected to speak is seen and set by a person; what was set before stays as history."""

from datetime import timedelta

import pytest
from django.contrib.admin.models import LogEntry

from metering.models import StreamPeriod
from metering.services.periods import valid_from
from tests import factories
from tests.admin.pages import page, text_of
from tests.factories import AT

pytestmark = pytest.mark.django_db
VIEW, SET = "metering.view_streamperiod", "metering.add_streamperiod"


@pytest.fixture
def brewery(db):
    return factories.plant(name="Brewery Přerov")


def asked(brewery, **changes):
    return {"plant": brewery.pk, "stream": "REALTIME", "period_s": "20"} | changes


def setting() -> str:
    return page("metering_streamperiod_add")


def test_a_period_is_set_from_the_next_quarter_hour_on_and_stands_in_the_history(jana, brewery):
    told = text_of(jana.post(setting(), asked(brewery), follow=True))

    row = StreamPeriod.objects.get()
    history = text_of(jana.get(page("metering_streamperiod_history", row.pk)))
    assert (row.plant, row.stream, row.period_s, row.source) == (brewery, "REALTIME", 20.0, "SET")
    assert (row.set_by_name, row.valid_from) == ("jana", valid_from(AT))
    assert "Realtime telemetry of Brewery Přerov is expected every 20.0 s" in told
    assert "Begins later" in told
    assert "Realtime telemetry: expected every 20.0 s." in history
    assert LogEntry.objects.count() == 1


def test_an_empty_period_is_learnt_again(jana, brewery):
    told = text_of(jana.post(setting(), asked(brewery, period_s=""), follow=True))

    assert StreamPeriod.objects.get().source == "LEARNT"
    assert "learnt again" in told


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"period_s": "0.5"}, "period_s"),
        ({"period_s": "901"}, "period_s"),
        ({"period_s": "3601", "stream": "METER"}, "period_s"),
        ({"period_s": "nan"}, "period_s"),
        ({"stream": "STATUS"}, "stream"),
        ({"plant": "999999"}, "plant"),
        ({"plant": ""}, "plant"),
    ],
)
def test_what_is_refused_is_said_at_its_field_and_nothing_is_kept(jana, brewery, changes, field):
    refused = jana.post(setting(), asked(brewery, **changes))

    assert list(refused.context["form"].errors) == [field]
    assert not StreamPeriod.objects.exists()
    assert not LogEntry.objects.exists()


def test_the_list_tells_which_period_is_in_force(jana, brewery):
    for days, period_s in ((-30, 10.0), (-3, 20.0), (1, 30.0)):
        StreamPeriod.objects.create(
            plant=brewery,
            stream="REALTIME",
            valid_from=AT + timedelta(days=days),
            period_s=period_s,
            source="LEARNT",
        )

    cells = [
        [row.period_s, text]
        for row, text in zip(
            StreamPeriod.objects.order_by("-pk"),
            [
                word
                for word in text_of(jana.get(page("metering_streamperiod_changelist"))).split(
                    "Brewery Přerov"
                )
                if "Realtime" in word
            ],
            strict=True,
        )
    ]

    words = ("Begins later", "In force", "Over")
    assert [[period_s, next(word for word in words if word in text)] for period_s, text in cells] == [
        [30.0, "Begins later"],
        [20.0, "In force"],
        [10.0, "Over"],
    ]


def test_a_period_leads_to_the_form_with_its_plant_and_stream_chosen(jana, brewery):
    jana.post(setting(), asked(brewery, stream="METER"))
    row = StreamPeriod.objects.get()

    form = jana.get(page("metering_streamperiod_set_anew", row.pk), follow=True).context["form"]

    assert (form["plant"].value(), form["stream"].value()) == (str(brewery.pk), "METER")


@pytest.mark.parametrize("query", [{"plant": "x"}, {"plant": "²"}, {"plant": "9" * 40}, {"stream": "<b>"}])
def test_an_address_that_chooses_nothing_opens_the_empty_form(jana, query):
    assert jana.get(setting(), query).status_code == 200


def test_setting_is_a_right_of_its_own_and_none_to_look(staff, brewery):
    client = staff(VIEW)

    assert client.get(setting()).status_code == 403
    assert client.post(setting(), asked(brewery)).status_code == 403
    assert not StreamPeriod.objects.exists()


def test_a_row_is_never_edited_or_deleted(jana, brewery):
    jana.post(setting(), asked(brewery))
    row = StreamPeriod.objects.get()

    assert jana.post(page("metering_streamperiod_change", row.pk), {"period_s": 5}).status_code == 403
    assert jana.post(page("metering_streamperiod_delete", row.pk), {"post": "yes"}).status_code == 403
