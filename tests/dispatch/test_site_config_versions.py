"""What was published is kept as versions with a readable difference, and can be ordered to be sent again."""

from datetime import timedelta

import pytest
from django.db import connection, transaction

from dispatch.models import OutboundMessage, Outcome, PublishedSiteConfig, SiteConfigVersion
from dispatch.services import site_config
from dispatch.services.site_config import publish_changed, republish_plant
from dispatch.site_config import differences
from plants.errors import Conflict, DomainError, Invalid, NotFound
from plants.models import Connection, ConnectionMode, Plant
from plants.services.organisations import set_installation_dispatch
from plants.services.plants import save_assets, save_plant, set_plant_dispatch
from tests import factories
from tests.dispatch.helpers import deliver
from tests.factories import AT, OPERATOR
from tests.threads import Aside, together, until_blocked
from vcp import Family

pytestmark = pytest.mark.django_db
LIMITS = "config.constraints"


def publish(at=AT):
    return publish_changed(at=at, policy=factories.policy())


def again(plant, **changes):
    facts = {"plant_id": plant.pk, "actor": OPERATOR, "policy": factories.policy()}
    republish_plant(**(facts | changes))


def export_at_most(plant, kw):
    plant.max_export_kw = kw
    save_plant(plant=plant, at=AT)
    publish()


def versions(plant, family=LIMITS):
    rows = SiteConfigVersion.objects.filter(plant=plant, family=family).order_by("number")
    return [(row.number, row.payload.get("maxExportKw")) for row in rows]


def families_of_outbox():
    return [one.family for one in OutboundMessage.objects.order_by("pk")]


def test_each_payload_that_is_published_is_a_version_numbered_within_plant_and_family():
    plant, other = factories.plant(), factories.plant()
    publish()
    export_at_most(plant, 30.0)

    assert versions(plant) == [(1, 50), (2, 30)]
    assert (versions(other), len(versions(plant, "config.topology"))) == ([(1, 50)], 1)


def test_the_same_payload_sent_again_is_the_same_version():
    plant = factories.plant()
    publish()
    again(plant)
    publish()

    assert len(families_of_outbox()) == 6
    assert SiteConfigVersion.objects.count() == 3
    assert [one.version.number for one in PublishedSiteConfig.objects.select_related("version")] == [1, 1, 1]


def test_going_back_to_an_earlier_payload_is_a_version_of_its_own():
    plant = factories.plant()
    publish()
    export_at_most(plant, 30.0)
    export_at_most(plant, 50.0)

    assert versions(plant) == [(1, 50), (2, 30), (3, 50)]


def test_what_is_held_back_for_want_of_a_scope_is_no_version():
    factories.plant(on=factories.connection(scopes=["vcp:write:mode"]))

    publish()

    assert not SiteConfigVersion.objects.exists()


def test_two_versions_differ_by_members_in_words():
    plant = factories.plant()
    publish()
    plant.max_import_kw, plant.max_export_kw, plant.soc_min_pct = None, 37.5, 10.0
    save_plant(plant=plant, at=AT)
    save_assets(
        plant=plant,
        changed=[factories.battery("B2", rated_power_kw=None)],
        removed=[plant.assets.get(external_id="S1")],
        at=AT,
    )
    publish()

    limits, topology = (
        differences(
            *SiteConfigVersion.objects.filter(family=family)
            .order_by("number")
            .values_list("payload", flat=True)
        )
        for family in (LIMITS, "config.topology")
    )
    assert [str(one) for one in limits] == [
        "maxExportKw: 50 -> 37.5",
        "maxImportKw: 100 -> none",
        "socMinPercent: none -> 10",
    ]
    assert [str(one) for one in topology] == [
        "assets[B2].assetType: none -> BESS",
        "assets[B2].capacityKwh: none -> 80",
        "assets[S1].assetType: FVE -> none",
        "assets[S1].ratedPowerKw: 60 -> none",
    ]


# --- again, by order --------------------------------------------------------------------------------------------------


def test_an_ordered_plant_is_sent_all_of_its_config_again_and_no_other_plant():
    plant, other = factories.plant(), factories.plant()
    publish()
    deliver(plant.connection)
    deliver(other.connection)

    again(plant)
    publish()

    anew = OutboundMessage.objects.filter(outcome=Outcome.PENDING).order_by("pk")
    assert [(one.plant_id, one.family) for one in anew] == [
        (plant.pk, "config.topology"), (plant.pk, "config.constraints"), (plant.pk, "config.fallback"),
    ]  # fmt: skip


def test_single_families_can_be_ordered():
    plant = factories.plant()
    publish()
    deliver(plant.connection)

    again(plant, families=[Family.CONFIG_FALLBACK])
    publish()

    assert families_of_outbox()[3:] == ["config.fallback"]


@pytest.mark.parametrize(
    ("spoil", "kind", "code"),
    [
        (lambda plant: Plant.objects.update(connection=None), Conflict, "NOT_CONNECTED"),
        (
            lambda plant: Connection.objects.update(mode=ConnectionMode.OBSERVE),
            Conflict,
            "CONNECTION_OBSERVES",
        ),
        (lambda plant: Connection.objects.update(dispatch_enabled=False), Conflict, "DISPATCH_OFF"),
        (lambda plant: set_plant_dispatch(plant_id=plant.pk, enabled=False), Conflict, "DISPATCH_OFF"),
        (lambda plant: set_installation_dispatch(enabled=False), Conflict, "DISPATCH_OFF"),
        (lambda plant: Connection.objects.update(scopes=["vcp:write:mode"]), Conflict, "SCOPE_MISSING"),
    ],
    ids=["no connection", "observes", "connection off", "plant off", "installation off", "no scope"],
)
def test_an_order_that_nothing_would_come_of_is_refused_and_changes_nothing(spoil, kind, code):
    plant = factories.plant()
    publish()
    spoil(plant)

    with pytest.raises(kind) as caught:
        again(plant)

    assert caught.value.code == code
    assert PublishedSiteConfig.objects.count() == 3


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"families": [Family.COMMAND_MODE]}, Invalid),
        ({"families": []}, Invalid),
        ({"plant_id": 0}, NotFound),
    ],
)
def test_an_order_about_nothing_that_could_be_sent_is_refused(changes, kind):
    plant = factories.plant()

    with pytest.raises(DomainError) as caught:
        again(plant, **changes)

    assert type(caught.value) is kind


# --- signed anew ------------------------------------------------------------------------------------------------------


def test_config_that_the_relay_signs_anew_is_told_by_the_new_message():
    """The note kept the replaced one, so that a successor that came to nothing was never noticed."""
    plant = factories.plant()
    publish()
    deliver(plant.connection, at=AT + timedelta(hours=1))

    noted = PublishedSiteConfig.objects.order_by("pk").values_list("message__outcome", flat=True)
    assert list(noted) == [Outcome.CONFIRMED] * 3
    assert publish(AT + timedelta(hours=2)) == 0


@pytest.mark.django_db(transaction=True)
def test_a_note_that_is_held_meanwhile_does_not_stop_the_relay_and_heals_by_itself():
    plant = factories.plant()
    publish()
    if connection.vendor == "postgresql":
        with transaction.atomic():
            list(PublishedSiteConfig.objects.select_for_update())
            Aside(lambda: deliver(plant.connection, at=AT + timedelta(hours=1))).answer()
    else:  # one writer at a time: nothing can be held meanwhile
        deliver(plant.connection, at=AT + timedelta(hours=1))
    publish(AT + timedelta(hours=2))
    deliver(plant.connection, at=AT + timedelta(hours=2))

    noted = PublishedSiteConfig.objects.values_list("message__outcome", flat=True)
    assert list(noted) == [Outcome.CONFIRMED] * 3


# --- at once, and cut short -------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_ticks_at_once_make_one_message_and_one_version_of_each_family():
    factories.plant()

    together(publish, publish)

    assert families_of_outbox() == ["config.topology", "config.constraints", "config.fallback"]
    assert SiteConfigVersion.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_an_order_that_comes_while_the_tick_works_on_the_plant_is_not_lost():
    plant = factories.plant()
    publish()
    plant.max_export_kw = 30.0
    save_plant(plant=plant, at=AT)
    with transaction.atomic():
        Plant.objects.select_for_update(of=("self",), no_key=True).get(pk=plant.pk)
        tick = Aside(publish)
        until_blocked()
        order = Aside(lambda: again(plant))
        until_blocked(2)
    tick.answer()
    order.answer()
    publish()

    assert families_of_outbox()[3:].count("config.topology") == 1


@pytest.mark.django_db(transaction=True)
def test_a_crash_between_version_and_note_leaves_neither_and_the_next_run_makes_both(monkeypatch):
    factories.plant()

    class Killed(BaseException):
        pass

    def killed(*_args, **_options):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(site_config.PublishedSiteConfig.objects, "update_or_create", killed)
        with pytest.raises(Killed):
            publish()
    left = (OutboundMessage.objects.count(), SiteConfigVersion.objects.count())
    publish(AT + timedelta(seconds=2))

    assert left == (0, 0)
    assert (OutboundMessage.objects.count(), SiteConfigVersion.objects.count()) == (3, 3)
