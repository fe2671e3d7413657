"""A partner of the private broker as a stored connection, and what a check of it says."""

import json
from typing import Any

from link.checkup import CheckOptions, CheckResult, Step, checks
from plants.models import Connection, ConnectionMode
from plants.services.connections import import_bundle
from tests import factories
from tests.factories import AT
from tests.services.partner import Partner
from vcp import KeyDecoding, parse_bundle

PATIENCE_S = 5.0


def stored(partner: Partner, *, bundle: dict[str, Any] | None = None, **changes: Any) -> Connection:
    """The partner's bundle as imported, switched to ACTIVE; `changes` past every service."""
    link = import_bundle(
        organisation=factories.organisation(),
        bundle=parse_bundle(json.dumps(partner.bundle() | (bundle or {})).encode()),
        name="checked",
        source="ref-esm",
        scopes=[],
        sign_emergency=True,
        key_decoding=KeyDecoding.HEX,
        at=AT,
    )
    for name, value in ({"mode": ConnectionMode.ACTIVE, "rest_base_url": ""} | changes).items():
        setattr(link, name, value)
    link.save()
    return link


def checked(link: Connection, *, ca_file: object = None, at=AT, **options: Any) -> dict[Step, CheckResult]:
    """Every step's answer."""
    limits = {"connect_timeout_s": PATIENCE_S, "answer_timeout_s": PATIENCE_S, "rest_timeout_s": PATIENCE_S}
    asked = CheckOptions(ca_file=None if ca_file is None else str(ca_file), **(limits | options))
    return {result.step: result for result in checks(link, clock=lambda: at, options=asked)}


def seen(results: dict[Step, CheckResult], *steps: Step) -> list[tuple[str, str]]:
    """(verdict, code) of some steps."""
    return [(results[step].verdict.value, results[step].code) for step in steps]
