"""The configuration: every refusal names its field, secrets come from outside and never show."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from tests.voke_sim.harness import KEY, config_document
from voke_sim.__main__ import example_config
from voke_sim.config_load import ConfigError, load_config, parse_config

AMQPS = "amqps://voke:s3cret@broker.test:5671/partner-1"


def changed(path: str, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(config_document())
    here: Any = document
    *parents, last = path.split(".")
    for parent in parents:
        here = here[int(parent)] if isinstance(here, list) else here.setdefault(parent, {})
    here[int(last) if isinstance(here, list) else last] = value
    return document


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("factor", 0, "factor"),
        ("factor", "fast", "factor"),
        ("seed", -1, "seed"),
        ("tick_period_s", 0.001, "tick_period_s"),
        ("typo", 1, "typo"),
        ("partner.signing_key", "zz", "partner.signing_key"),
        ("partner.key_decoding", "BASE64", "partner.key_decoding"),
        ("partner.signed_families", ["command.dance"], "partner.signed_families"),
        ("partner.queues", {"command": ""}, "partner.queues.command"),
        ("transport.kind", "mqtt", "transport.kind"),
        ("transport.prefetch", 0, "transport.prefetch"),
        ("transport.reconnect_max_s", 0.1, "transport.reconnect_max_s"),
        ("telemetry.realtime_period_s", 0, "telemetry.realtime_period_s"),
        ("protocol.site_id_kind", "ean", "protocol.site_id_kind"),
        ("execution.tolerance_pct", 101, "execution.tolerance_pct"),
        ("rest", {"api_key": ""}, "rest.api_key"),
        ("reverse", {"base_url": "ftp://x", "client_id": "a", "client_secret": "b"}, "reverse.base_url"),
        ("reverse", {"base_url": "http://x", "client_id": "a"}, "reverse.client_secret"),
        ("sites", [], "sites"),
        ("sites.0.site_id", "DEPOT", "sites[0].site_id"),
        ("sites.1.external_plant_id", "DEPOT", "sites[1]"),
        ("sites.0.batteries.0.capacity_kwh", -1, "sites[0].batteries[0].capacity_kwh"),
        ("sites.0.batteries.0.device_id", "b1", "sites[0].batteries[0].device_id"),
        ("sites.0.batteries.1.device_id", "B1", "sites[0].batteries|pv|others"),
        ("sites.0.batteries.0.soc_pct", 3, "sites[0].batteries[0].soc_pct"),
        ("sites.0.pv.0.asset_type", "BESS", "sites[0].pv[0].asset_type"),
        ("sites.0.others.0.asset_type", "FVE", "sites[0].others[0].asset_type"),
        ("sites.0.limits", {"maxImportKw": -1}, "sites[0].limits.maxImportKw"),
        ("sites.0.limits", {"maxImport": 1}, "sites[0].limits"),
        ("sites.0.weather", {"start_hour": 24}, "sites[0].weather.start_hour"),
    ],
)
def test_a_wrong_value_is_refused_with_the_name_of_its_field(path: str, value: Any, field: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_config(changed(path, value))

    assert refused.value.field == field
    assert refused.value.reason


@pytest.mark.parametrize(
    ("transport", "field"),
    [
        ({"kind": "amqp"}, "transport.uri"),
        ({"kind": "amqp", "uri": "amqp://u:p@h/v"}, "transport.uri"),
        ({"kind": "amqp", "uri": AMQPS, "ca_file": "/nowhere.pem"}, "transport.ca_file"),
    ],
)
def test_the_amqp_transport_needs_an_amqps_address_and_its_authority(
    transport: dict[str, Any], field: str
) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_config(config_document(transport=transport))

    assert refused.value.field == field
    assert "s3cret" not in str(refused.value)


def test_the_committed_example_is_valid() -> None:
    config = parse_config(json.loads(example_config()))

    assert [site.external_plant_id for site in config.sites] == ["DEPOT", "ROOF"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "sim.json"
    path.write_text(json.dumps(config_document(rest={"api_key": "from-file"})))
    return path


def test_the_environment_overrides_the_file_and_settings_override_both(file: Path) -> None:
    environ = {"VOKE_SIM_API_KEY": "from-env", "VOKE_SIM_JOURNAL": "env.sqlite3"}
    config = load_config(file, environ=environ, settings=["journal_path=set.sqlite3", "sites.0.name=Depot"])

    assert config.rest is not None
    assert (config.rest.api_key, config.journal_path, config.sites[0].name) == (
        "from-env",
        "set.sqlite3",
        "Depot",
    )


def test_a_setting_is_read_as_json_where_it_is_json(file: Path) -> None:
    config = load_config(file, environ={}, settings=["factor=90", 'faults=[{"kind": "silent"}]'])

    assert (config.factor, config.faults[0].kind.value) == (90, "silent")


def test_a_secret_may_come_from_a_file(file: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("from-secret-file\n")
    config = load_config(file, environ={"VOKE_SIM_API_KEY_FILE": str(secret)})

    assert config.rest is not None
    assert config.rest.api_key == "from-secret-file"


@pytest.mark.parametrize(
    ("environ", "field"),
    [
        ({"VOKE_SIM_API_KEY": "a", "VOKE_SIM_API_KEY_FILE": "b"}, "VOKE_SIM_API_KEY"),
        ({"VOKE_SIM_API_KEY_FILE": "/nowhere"}, "VOKE_SIM_API_KEY_FILE"),
        ({"VOKE_SIM_SIGNING_KEY": "short"}, "partner.signing_key"),
    ],
)
def test_a_wrong_environment_is_refused_by_its_name(file: Path, environ: dict[str, str], field: str) -> None:
    with pytest.raises(ConfigError) as refused:
        load_config(file, environ=environ)

    assert refused.value.field == field


@pytest.mark.parametrize("setting", ["factor", "=1", "sites.9.name=x", "factor.deep.er=1"])
def test_a_setting_that_leads_nowhere_is_refused(file: Path, setting: str) -> None:
    with pytest.raises(ConfigError):
        load_config(file, environ={}, settings=[setting])


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff"])
def test_a_file_that_is_no_json_object_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sim.json"
    path.write_bytes(content)

    with pytest.raises(ConfigError) as refused:
        load_config(path, environ={})
    assert refused.value.field == "--config"


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load_config(tmp_path / "none.json", environ={})


def test_no_secret_shows_in_a_repr() -> None:
    document = config_document(
        transport={"kind": "amqp", "uri": AMQPS},
        reverse={"base_url": "http://x", "client_id": "id", "client_secret": "hush"},
        rest={"api_key": "hush"},
    )
    shown = repr(parse_config(document))

    assert KEY not in shown
    assert "hush" not in shown
    assert "s3cret" not in shown
