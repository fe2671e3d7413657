"""What is refused before anything is stored: whom, what for, and beyond which limits."""

from datetime import datetime, timedelta

import pytest

from dispatch.models import Command, OutboundMessage
from dispatch.requests import CommandRequest
from dispatch.services.commands import submit
from dispatch.services.emergency import send_emergency
from plants.errors import Conflict, DomainError, NotFound, Several
from plants.models import ConnectionMode
from plants.services.connections import set_connection_dispatch
from plants.services.organisations import set_installation_dispatch
from plants.services.plants import set_plant_dispatch
from tests import factories
from tests.dispatch.helpers import ask, batch, device, energy, mode, setpoint, stop_now
from tests.factories import AT, OPERATOR
from vcp import AssetType, DeviceCommandType, Direction

pytestmark = pytest.mark.django_db
PAST = AT - timedelta(seconds=1)


def refusal(plant, payload, **changes) -> DomainError:
    """The error of asking, after checking that nothing was stored."""
    before = Command.objects.count(), OutboundMessage.objects.count()
    with pytest.raises(DomainError) as caught:
        ask(plant, payload, **changes)
    assert (Command.objects.count(), OutboundMessage.objects.count()) == before
    return caught.value


# --- whom -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("send", [submit, send_emergency])
def test_a_plant_that_does_not_exist_is_not_found(send):
    owner = factories.plant().organisation
    payload = mode() if send is submit else stop_now()

    with pytest.raises(NotFound) as caught:
        send(
            organisation_id=owner.pk,
            request=CommandRequest(external_plant_id="NOBODY", payload=payload),
            actor=OPERATOR,
            at=AT,
            policy=factories.policy(),
        )

    assert caught.value.code == "PLANT_NOT_FOUND"


@pytest.mark.parametrize("send", [submit, send_emergency])
def test_another_organisations_plant_is_as_unknown_as_one_that_does_not_exist(send):
    theirs, ours = factories.plant(), factories.plant()
    payload = mode() if send is submit else stop_now()

    with pytest.raises(NotFound) as caught:
        send(
            organisation_id=ours.organisation_id,
            request=CommandRequest(external_plant_id=theirs.external_plant_id, payload=payload),
            actor=OPERATOR,
            at=AT,
            policy=factories.policy(),
        )

    assert caught.value.code == "PLANT_NOT_FOUND"
    assert not Command.objects.exists()


# --- whether at all ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("payload", [mode(), stop_now()], ids=["mode", "emergency"])
class TestWhatHoldsForEveryCommand:
    def test_a_plant_without_a_connection_is_refused(self, payload):
        plant = factories.plant()
        type(plant).objects.update(connection=None)

        assert refusal(plant, payload).code == "NOT_CONNECTED"

    def test_a_connection_that_observes_is_refused(self, payload):
        plant = factories.plant(on=factories.connection(mode=ConnectionMode.OBSERVE))

        assert refusal(plant, payload).code == "CONNECTION_OBSERVES"

    def test_the_switch_of_the_installation_is_respected(self, payload):
        set_installation_dispatch(enabled=False)

        assert refusal(factories.plant(), payload).code == "DISPATCH_OFF"

    def test_the_switch_of_the_connection_is_respected_and_named(self, payload):
        plant = factories.plant()
        set_connection_dispatch(connection_id=plant.connection_id, enabled=False)

        error = refusal(plant, payload)

        assert (error.code, error.path) == ("DISPATCH_OFF", "connection")

    def test_the_switch_of_the_plant_is_respected_and_named(self, payload):
        plant = factories.plant()
        set_plant_dispatch(plant_id=plant.pk, enabled=False)

        error = refusal(plant, payload)

        assert (error.code, error.path) == ("DISPATCH_OFF", "plant")

    def test_an_api_key_without_the_scope_is_refused(self, payload):
        plant = factories.plant(on=factories.connection(scopes=["vcp:connect", "vcp:write:schedule"]))

        assert refusal(plant, payload).code == "SCOPE_MISSING"

    def test_a_connection_whose_signing_key_is_gone_is_refused(self, payload):
        plant = factories.plant(on=factories.connection(signing_key=""))

        assert refusal(plant, payload).code == "SIGNING_KEY_MISSING"

    def test_a_signing_key_that_cannot_be_decrypted_is_refused(self, payload):
        plant = factories.plant()
        factories.make_undecryptable(plant.connection)

        assert refusal(plant, payload).code == "CANNOT_BUILD"

    def test_a_signing_key_that_cannot_sign_is_refused_and_not_quoted(self, payload):
        plant = factories.plant(on=factories.connection(signing_key="secret-but-no-hex"))

        error = refusal(plant, payload)

        assert error.code == "CANNOT_BUILD"
        assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("payload", "scope"),
    [
        (setpoint(), "vcp:write:setpoint"),
        (batch(), "vcp:write:device-command"),
        (mode(), "vcp:write:mode"),
        (stop_now(), "vcp:write:setpoint"),
    ],
    ids=["setpoint", "device", "mode", "emergency"],
)
def test_exactly_the_scope_of_its_family_lets_a_command_pass(payload, scope):
    allowed = factories.plant(on=factories.connection(scopes=[scope]))
    others = sorted(
        {"vcp:connect", "vcp:read", "vcp:write:setpoint", "vcp:write:device-command", "vcp:write:mode"}
        - {scope}
    )
    refused = factories.plant(on=factories.connection(scopes=others))

    ask(allowed, payload)

    assert refusal(refused, payload).code == "SCOPE_MISSING"


def test_without_told_scopes_nothing_is_known_and_nothing_refused():
    assert ask(factories.plant(on=factories.connection(scopes=[])), mode()).pk


def test_a_latched_plant_takes_no_command_by_hand_either():
    plant = factories.plant()
    ask(plant, stop_now())

    error = refusal(plant, setpoint())

    assert isinstance(error, Conflict)
    assert error.code == "PLANT_LATCHED"


def test_a_latch_holds_only_its_own_plant():
    latched = factories.plant()
    ask(latched, stop_now())

    assert ask(factories.plant(on=latched.connection), setpoint()).pk


# --- what for: the site's limits --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "field"),
    [
        (setpoint(50.1), "payload.targetValueKw"),
        (setpoint(100.1, direction=Direction.IMPORT), "payload.targetValueKw"),
        (energy(12.6, 15), "payload.targetValueKwh"),  # 50.4 kW
        (energy(50.1, 60), "payload.targetValueKwh"),
        (energy(25.1, 15, direction=Direction.IMPORT), "payload.targetValueKwh"),  # 100.4 kW
    ],
    ids=["export", "import", "energy", "energy of an hour", "energy import"],
)
def test_a_setpoint_over_the_sites_limit_is_refused_with_its_field(payload, field):
    error = refusal(factories.plant(), payload)

    assert isinstance(error, Several)
    assert [(one.code, one.path) for one in error.problems] == [("CONSTRAINT_VIOLATION", field)]


@pytest.mark.parametrize(
    "payload",
    [
        setpoint(50.0),
        setpoint(100.0, direction=Direction.IMPORT),
        energy(12.5, 15),
        energy(50.0, 60),
        setpoint(0.0),
    ],
    ids=["export", "import", "energy", "energy of an hour", "nothing"],
)
def test_a_setpoint_at_the_sites_limit_is_taken(payload):
    assert ask(factories.plant(), payload).pk


def test_without_a_known_limit_no_power_is_too_much():
    plant = factories.plant(max_export_kw=None)

    assert ask(plant, setpoint(1_000_000.0)).pk


# --- what for: devices ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "code", "path"),
    [
        (device("B9", power_kw=1.0), "UNKNOWN_ASSET", "payload.commands[0].deviceId"),
        (device("S1", power_kw=1.0), "WRONG_ASSET_TYPE", "payload.commands[0].assetType"),
        (
            device("S1", AssetType.FVE, DeviceCommandType.BESS_STOP),
            "INVALID_COMMAND",
            "payload.commands[0].assetType",
        ),
        (device("B1"), "INVALID_COMMAND", "payload.commands[0].params.powerKw"),
        (device("B1", power_kw=40.1), "CONSTRAINT_VIOLATION", "payload.commands[0].params.powerKw"),
        (
            device("S1", AssetType.FVE, DeviceCommandType.FVE_REDUCE_POWER, power_kw=60.1),
            "CONSTRAINT_VIOLATION",
            "payload.commands[0].params.powerKw",
        ),
        (
            device("S1", AssetType.FVE, DeviceCommandType.FVE_REDUCE_PERCENT),
            "INVALID_COMMAND",
            "payload.commands[0].params.percent",
        ),
    ],
    ids=[
        "unknown",
        "wrong type",
        "not for it",
        "power missing",
        "battery rating",
        "pv rating",
        "percent missing",
    ],
)
def test_a_device_command_that_does_not_fit_is_refused_with_its_field(command, code, path):
    error = refusal(factories.plant(), batch(command))

    assert [(one.code, one.path) for one in error.problems] == [(code, path)]


@pytest.mark.parametrize(
    ("limits", "command"),
    [
        ({"max_charge_kw": 30.0}, DeviceCommandType.BESS_CHARGE),
        ({"max_charge_kw": 30.0}, DeviceCommandType.BESS_CONTINUOUS_CHARGE),
        ({"max_charge_kw": 30.0}, DeviceCommandType.BESS_CHARGE_ONLY),
        ({"max_discharge_kw": 30.0}, DeviceCommandType.BESS_DISCHARGE),
        ({"max_discharge_kw": 30.0}, DeviceCommandType.BESS_DISCHARGE_ONLY),
    ],
)
def test_the_sites_battery_limits_bind_where_the_assets_rating_would_allow_more(limits, command):
    plant = factories.plant(**limits)

    error = refusal(plant, batch(device("B1", AssetType.BESS, command, power_kw=30.1)))

    assert error.code == "CONSTRAINT_VIOLATION"
    assert ask(plant, batch(device("B1", AssetType.BESS, command, power_kw=30.0))).pk


def test_every_problem_of_a_batch_is_told_with_its_place():
    error = refusal(factories.plant(), batch(device("B9", power_kw=1.0), device(power_kw=1.0), device("B1")))

    assert [(one.code, one.path.split(".")[1]) for one in error.problems] == [
        ("UNKNOWN_ASSET", "commands[0]"),
        ("INVALID_COMMAND", "commands[2]"),
    ]


def test_two_batteries_may_not_together_exceed_what_the_site_allows():
    plant = factories.plant(assets=[factories.battery("B1"), factories.battery("B2")])

    error = refusal(plant, batch(device("B1", power_kw=20.0), device("B2", power_kw=20.1)))

    assert (error.code, error.path) == ("CONSTRAINT_VIOLATION", "payload.commands")
    assert ask(plant, batch(device("B1", power_kw=20.0), device("B2", power_kw=20.0))).pk


# --- when -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "path"),
    [
        (setpoint(valid_from=AT - timedelta(hours=1), valid_until=AT), "payload.validUntil"),
        (mode(valid_until=AT), "payload.validUntil"),
    ],
    ids=["setpoint", "mode"],
)
def test_what_is_over_before_it_is_due_is_refused(payload, path):
    error = refusal(factories.plant(), payload)

    assert (error.code, error.path) == ("ALREADY_OVER", path)


def test_what_is_over_before_its_later_due_time_is_refused_too():
    assert refusal(factories.plant(), setpoint(), due_at=AT + timedelta(minutes=15)).code == "ALREADY_OVER"


@pytest.mark.parametrize("late_s", [60, 61, 3600])
def test_a_due_time_too_far_in_the_past_is_refused(late_s):
    error = refusal(factories.plant(), mode(), due_at=AT - timedelta(seconds=late_s))

    assert (error.code, error.path) == ("ALREADY_OVER", "dueAt")


def test_a_due_time_of_a_moment_ago_is_due_now():
    assert ask(factories.plant(), mode(), due_at=PAST).state == "QUEUED"


@pytest.mark.parametrize(
    ("payload", "changes", "path"),
    [
        (mode(), {"due_at": datetime(2026, 1, 2, 4)}, "dueAt"),
        (mode(), {"due_at": AT + timedelta(days=5000)}, "dueAt"),
        (setpoint(valid_from=datetime(9999, 12, 31, 23, tzinfo=AT.tzinfo), valid_until=None), {}, "dueAt"),
        (mode(), {"idempotency_key": "k" * 129}, "idempotencyKey"),
        (mode(), {"idempotency_key": ""}, "idempotencyKey"),
        (mode(), {"batch_ref": "b" * 129}, "batchRef"),
        (mode(), {"reason": "a\0b"}, "reason"),
        (mode(reason="a\0b"), {}, "payload.reason"),
    ],
    ids=["naive", "far due", "far start", "long key", "no key", "long reference", "NUL", "NUL in payload"],
)
def test_what_could_not_be_stored_is_refused_with_its_field(payload, changes, path):
    error = refusal(factories.plant(), payload, **changes)

    assert error.path == path


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"target_value_kw": float("nan")}, "payload.targetValueKw"),
        ({"target_value_kw": float("inf")}, "payload.targetValueKw"),
        ({"target_value_kw": -1.0}, "payload.targetValueKw"),
    ],
)
def test_a_value_that_no_parser_would_have_let_in_is_refused(changes, path):
    """A struct that a program built is not checked by its construction, and NaN passes every comparison."""
    error = refusal(factories.plant(), setpoint(**changes))

    assert error.path == path


def test_an_emergency_can_not_be_planned():
    assert refusal(factories.plant(), stop_now(), due_at=AT + timedelta(minutes=1)).path == "dueAt"


def test_emergencies_do_not_pass_the_way_of_other_commands():
    plant = factories.plant()
    request = CommandRequest(external_plant_id=plant.external_plant_id, payload=stop_now())

    with pytest.raises(ValueError, match="emergency"):
        submit(
            organisation_id=plant.organisation_id,
            request=request,
            actor=OPERATOR,
            at=AT,
            policy=factories.policy(),
        )


def test_an_address_that_cannot_be_decrypted_stops_no_command_from_being_stored():
    """The relay will say that it can't connect; what is asked for is stored and waits."""
    plant = factories.plant()
    factories.make_undecryptable(plant.connection, "amqps_uri", "api_key")

    assert ask(plant, mode()).state == "QUEUED"
