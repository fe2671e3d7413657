"""What Voke's REST tells against what was published: drift counts at the second look, and is told by an alarm."""

from datetime import timedelta

import pytest

from dispatch.services.site_config import publish_changed
from plants.models import Alarm, Connection
from plants.services.plants import save_plant
from tests import factories
from tests.dispatch.helpers import deliver
from tests.factories import AT
from tests.link.far_rest import far_rest
from tests.link.site_reporting import FALLBACK, LIMITS, link_to, minutes, published, report_of, run, voke

pytestmark = pytest.mark.django_db


def look(config, *times, plant=None):
    """Looks at a plant whose config was published at AT, while Voke tells `config`; its report afterwards."""
    with far_rest(voke(config)) as host:
        plant = plant or published(on=link_to(host))
        Connection.objects.update(rest_base_url=host.url)
        for at in times:
            run(at)
    return report_of(plant)


def drift_of(report):
    return [(row["family"], row["field"], row["ours"], row["theirs"], row["looks"]) for row in report.drift]


def open_alarms():
    rows = Alarm.objects.filter(cleared_at__isnull=True)
    return list(rows.values_list("code", "severity", "plant_id"))


def test_what_voke_has_as_published_is_no_drift():
    topology = {"assets": [{"deviceId": "S1", "assetType": "FVE"}, {"deviceId": "B1", "assetType": "BESS"}]}
    report = look(
        {"constraints": LIMITS, "fallback": FALLBACK, "topology": topology}, minutes(10), minutes(20)
    )

    assert (report.drift, report.drifted_since, open_alarms()) == ([], None, [])


@pytest.mark.parametrize(
    "told",
    [
        {},
        {"constraints": {}},
        {"constraints": {"maxImportKw": 100, "vokesOwn": 7}, "fallback": {"mode": "STANDARD"}},
        {"constraints": "strange", "fallback": [1], "topology": {"assets": None}},
        {"constraints": {"maxImportKw": {"value": 100}}},
    ],
    ids=["nothing", "no member", "members of its own", "another shape", "another shape of a member"],
)
def test_what_voke_does_not_tell_and_what_we_do_not_know_is_no_drift(told):
    assert look(told, minutes(10), minutes(20)).drift == []


def test_a_difference_counts_at_the_second_look_and_raises_one_alarm():
    told = {"constraints": LIMITS | {"maxExportKw": 60}}
    first = look(told, minutes(10))
    after_one = (drift_of(first), first.drifted_since, open_alarms())
    second = look(told, minutes(20), minutes(30), plant=first.plant)

    row = ("config.constraints", "maxExportKw", 50, 60)
    assert after_one == ([(*row, 1)], None, [])
    assert (drift_of(second), second.drifted_since) == ([(*row, 3)], minutes(20))
    assert open_alarms() == [("SITE_CONFIG_DRIFT", "WARNING", first.plant_id)]
    assert "maxExportKw ours 50, Voke's 60" in Alarm.objects.get().message


def test_two_looks_that_show_different_differences_are_one_look_each():
    report = look({"constraints": LIMITS | {"maxExportKw": 60}}, minutes(10))
    report = look({"constraints": LIMITS | {"maxImportKw": 90}}, minutes(20), plant=report.plant)

    assert drift_of(report) == [("config.constraints", "maxImportKw", 100, 90, 1)]
    assert (report.drifted_since, open_alarms()) == (None, [])


def test_drift_that_is_gone_clears_its_alarm():
    report = look({"fallback": FALLBACK | {"afterSeconds": 60}}, minutes(10), minutes(20))
    report = look({"fallback": FALLBACK}, minutes(30), plant=report.plant)

    assert (report.drift, report.drifted_since, open_alarms()) == ([], None, [])


@pytest.mark.parametrize("told", [{}, {"constraints": LIMITS}, {"fallback": "strange"}])
def test_an_answer_that_does_not_tell_what_drifted_is_no_all_clear(told):
    report = look({"fallback": FALLBACK | {"afterSeconds": 60}}, minutes(10), minutes(20))
    report = look(told, minutes(30), plant=report.plant)

    assert drift_of(report) == [("config.fallback", "afterSeconds", 900, 60, 2)]
    assert (report.drifted_since, len(open_alarms())) == (minutes(20), 1)


@pytest.mark.parametrize(
    ("told", "rows"),
    [
        (
            {"fallback": None},
            [("fallback", "afterSeconds", 900, None), ("fallback", "mode", "STANDARD", None)],
        ),
        ({"constraints": {"maxImportKw": None}}, [("constraints", "maxImportKw", 100, None)]),
        ({"constraints": {"socMinPercent": 15}}, [("constraints", "socMinPercent", None, 15)]),
        (
            {"topology": {"assets": [{"deviceId": "B1", "ratedPowerKw": 20}, {"deviceId": "X9"}]}},
            [
                ("topology", "assets[B1].ratedPowerKw", 40, 20),
                ("topology", "assets[S1]", "FVE", None),
                ("topology", "assets[X9]", None, "?"),
            ],
        ),
    ],
    ids=["told as none", "a limit told as none", "a limit we did not set", "devices"],
)
def test_each_kind_of_difference_is_named(told, rows):
    report = look(told, minutes(10))

    assert drift_of(report) == [(f"config.{family}", *row, 1) for family, *row in rows]


def test_nothing_is_compared_before_a_publication_had_time_to_arrive():
    told = {"constraints": LIMITS | {"maxExportKw": 60}}
    report = look(told, AT + timedelta(seconds=119))
    early = report.drift
    report = look(told, AT + timedelta(seconds=119 + 300), plant=report.plant)

    assert (early, len(report.drift)) == ([], 1)


def test_while_a_newer_publication_is_on_its_way_what_was_known_stays():
    told = {"constraints": LIMITS | {"maxExportKw": 60}}
    plant = look(told, minutes(10), minutes(20)).plant
    plant.refresh_from_db()
    plant.max_export_kw = 60.0
    save_plant(plant=plant, at=minutes(21))
    publish_changed(at=minutes(21), policy=factories.policy())
    unsent = look(told, minutes(26), plant=plant)
    deliver(plant.connection, at=minutes(27))
    just_sent = look(told, minutes(31), plant=plant)

    assert (len(unsent.drift), unsent.drifted_since) == (1, minutes(20))
    assert (just_sent.drift, open_alarms()) == ([], [])


def test_a_plant_that_nothing_was_published_for_has_no_drift():
    with far_rest(voke({"constraints": {"maxExportKw": 1}})) as host:
        plant = factories.plant(on=link_to(host))
        for at in (minutes(10), minutes(20)):
            run(at)

    assert report_of(plant).drift == []
