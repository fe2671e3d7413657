"""Reading the configuration: JSON file, then environment, then command line; the later one wins.

Whatever is wrong refuses to start with the field's path and the reason. Secrets may come from the
environment, each also as `NAME_FILE` with the path of a file that holds it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from vcp import AssetType, Constraints, Family, ProtocolError, parse_amqps_uri, parse_payload, sign
from voke_sim.config import SimConfig, SiteConfig, TransportKind

ENVIRONMENT: Mapping[str, str] = {
    "VOKE_SIM_SIGNING_KEY": "partner.signing_key",
    "VOKE_SIM_AMQPS_URI": "transport.uri",
    "VOKE_SIM_AMQPS_CA_FILE": "transport.ca_file",
    "VOKE_SIM_REVERSE_URL": "reverse.base_url",
    "VOKE_SIM_CLIENT_ID": "reverse.client_id",
    "VOKE_SIM_CLIENT_SECRET": "reverse.client_secret",
    "VOKE_SIM_API_KEY": "rest.api_key",
    "VOKE_SIM_JOURNAL": "journal_path",
    "VOKE_SIM_LOG_LEVEL": "log_level",
}
"""Environment variables and the fields that they set."""

_MAX_FILE_BYTES = 4 * 1024 * 1024


class ConfigError(ValueError):
    """The configuration can't be used: `field` is the guilty field's path, `reason` is for people."""

    code = "CONFIG_ERROR"

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason


def load_config(path: str | Path, *, environ: Mapping[str, str], settings: Sequence[str] = ()) -> SimConfig:
    """The configuration of a file, overridden by the environment and by `field.path=value` settings.

    A setting's value is read as JSON and, when it is none, as plain text. Raises ConfigError.
    """
    document = _read_document(Path(path))
    for name, field in ENVIRONMENT.items():
        value = _environment_value(environ, name)
        if value is not None:
            _put(document, field, value)
    for setting in settings:
        field, mark, text = setting.partition("=")
        if not mark or not field:
            raise ConfigError(setting, "expected field.path=value")
        _put(document, field, _setting_value(text))
    return parse_config(document)


def parse_config(document: Mapping[str, Any]) -> SimConfig:
    """The typed configuration of a decoded JSON document; raises ConfigError."""
    try:
        config = msgspec.convert(document, SimConfig)
    except msgspec.ValidationError as error:
        raise _translated(error) from error
    except UnicodeEncodeError as error:  # an environment of bytes that are no text
        raise ConfigError("", "holds a text that is not UTF-8") from error
    check_config(config)
    return config


def check_config(config: SimConfig) -> None:
    """Refuse what single fields can't tell: relations between fields, keys and addresses that can't work."""
    _check_partner(config)
    if config.transport.kind is TransportKind.AMQP:
        _check_amqp(config)
    if config.transport.reconnect_max_s < config.transport.reconnect_min_s:
        raise ConfigError("transport.reconnect_max_s", "must not be below reconnect_min_s")
    if config.reverse is not None and config.reverse.retry_max_s < config.reverse.retry_min_s:
        raise ConfigError("reverse.retry_max_s", "must not be below retry_min_s")
    names: set[str] = set()
    for index, site in enumerate(config.sites):
        for name in (site.site_id, site.external_plant_id):
            if name in names:
                raise ConfigError(f"sites[{index}]", f"{name!r} names two sites")
            names.add(name)
        _check_site(site, f"sites[{index}]")
    for index, rule in enumerate(config.faults):
        if rule.site is not None and rule.site not in names:
            raise ConfigError(f"faults[{index}].site", f"{rule.site!r} is none of the sites")


def _check_partner(config: SimConfig) -> None:
    try:
        sign({}, config.partner.signing_key, decoding=config.partner.key_decoding)
    except ProtocolError as error:
        raise ConfigError("partner.signing_key", error.detail) from None
    try:
        _ = config.partner.queue_names
    except ProtocolError as error:
        raise ConfigError(f"partner.{error.path}", error.detail) from None
    known = [family.value for family in Family]
    for family in config.partner.signed_families:
        if not any(name == family or name.startswith(f"{family}.") for name in known):
            raise ConfigError("partner.signed_families", f"{family!r} is no family of the protocol")


def _check_amqp(config: SimConfig) -> None:
    if config.transport.uri is None:
        raise ConfigError("transport.uri", "required for the amqp transport")
    try:
        parse_amqps_uri(config.transport.uri)
    except ProtocolError as error:
        raise ConfigError("transport.uri", error.detail) from None
    ca_file = config.transport.ca_file
    if ca_file is not None and not Path(ca_file).is_file():
        raise ConfigError("transport.ca_file", "no such file")


def _check_site(site: SiteConfig, path: str) -> None:
    seen: set[str] = set()
    for device_id in site.device_ids:
        if device_id in seen:
            raise ConfigError(f"{path}.batteries|pv|others", f"device {device_id!r} is named twice")
        seen.add(device_id)
    for index, battery in enumerate(site.batteries):
        if not battery.soc_min_pct <= battery.soc_pct <= battery.soc_max_pct:
            raise ConfigError(f"{path}.batteries[{index}].soc_pct", "outside soc_min_pct..soc_max_pct")
    for index, pv in enumerate(site.pv):
        if pv.asset_type not in (AssetType.FVE, AssetType.INVERTER):
            raise ConfigError(f"{path}.pv[{index}].asset_type", "expected FVE or INVERTER")
    for index, other in enumerate(site.others):
        if other.asset_type in (AssetType.BESS, AssetType.FVE, AssetType.INVERTER):
            raise ConfigError(
                f"{path}.others[{index}].asset_type", "batteries and pv have lists of their own"
            )
    unknown = set(site.limits) - {field.encode_name for field in msgspec.structs.fields(Constraints)}
    if unknown:
        raise ConfigError(f"{path}.limits", f"unknown members {sorted(unknown)}")
    try:
        parse_payload(Family.CONFIG_CONSTRAINTS, site.limits)
    except ProtocolError as error:
        raise ConfigError(f"{path}.limits.{error.path.removeprefix('payload.')}", error.detail) from None


def _read_document(path: Path) -> dict[str, Any]:
    try:
        body = path.read_bytes()
    except OSError as error:
        raise ConfigError("--config", f"{path}: {error.strerror}") from error
    if len(body) > _MAX_FILE_BYTES:
        raise ConfigError("--config", f"{path} is larger than {_MAX_FILE_BYTES} bytes")
    try:
        document = msgspec.json.decode(body)
    except msgspec.DecodeError as error:
        raise ConfigError("--config", f"{path} is no JSON: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError("--config", f"{path}: expected a JSON object")
    return document


def _environment_value(environ: Mapping[str, str], name: str) -> str | None:
    """The variable's value, or the content of the file that `NAME_FILE` points to; both at once is an
    error.
    """
    direct, file_name = environ.get(name), environ.get(f"{name}_FILE")
    if file_name is None:
        return direct
    if direct is not None:
        raise ConfigError(name, f"set either {name} or {name}_FILE")
    try:
        return Path(file_name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}_FILE", f"can't be read: {type(error).__name__}") from error


def _setting_value(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


def _put(document: dict[str, Any], field: str, value: Any) -> None:
    """Set `a.b.c` or `sites.0.name`; objects on the way are made where they are missing."""
    *parents, last = field.split(".")
    here: Any = document
    for parent in parents:
        if isinstance(here, list):
            here = here[_index(here, parent, field)]
        elif isinstance(here, dict):
            if here.get(parent) is None:
                here[parent] = {}
            here = here[parent]
        else:
            break
    if isinstance(here, list):
        here[_index(here, last, field)] = value
    elif isinstance(here, dict):
        here[last] = value
    else:
        raise ConfigError(field, "no such field")


def _index(items: list[Any], text: str, field: str) -> int:
    if not text.isdecimal() or int(text) >= len(items):
        raise ConfigError(field, "no such item")
    return int(text)


def _translated(error: msgspec.ValidationError) -> ConfigError:
    """msgspec tells the place only as text, after the reason: "Expected ... - at `$.sites[0].name`"."""
    reason, mark, place = str(error).rpartition(" - at `$")
    if not mark:
        reason, place = str(error), ""
    if reason.startswith(("Object missing required field `", "Object contains unknown field `")):
        name = reason.split("`")[1]
        return ConfigError(f"{place.strip('.`')}.{name}".strip("."), reason)
    return ConfigError(place.strip(".`"), reason)
