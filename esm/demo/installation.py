"""The demo's rows: an organisation with three different plants, a connection, a login and fresh credentials."""

import json
import os
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from django.db import transaction

from dispatch.services.site_config import switch_connection
from plants.bulk import read_plants
from plants.models import Connection, ConnectionMode, Organisation, Plant, User
from plants.services.bulk import save_sheets
from plants.services.connections import attach_plants, import_bundle
from plants.services.organisations import create_organisation
from plants.services.time_config import Author
from trading_api.models import Credential
from trading_api.services import disable_credential, issue_credentials
from vcp import AmqpsAddress, KeyDecoding, build_amqps_uri, parse_bundle

SLUG = "demo"
LOGIN = "admin"
_LABEL = "modelled Voke"
_PLANTS = Path(__file__).with_name("plants.json")


@dataclass(frozen=True, kw_only=True)
class DemoInstallation:
    """What the demo prints and what the modelled Voke needs to know."""

    organisation: Organisation
    connection: Connection
    plants: list[Plant]
    login: str
    password: str = field(repr=False)
    client_id: str
    client_secret: str = field(repr=False)


@transaction.atomic
def ensure_installation(*, at: datetime) -> DemoInstallation:
    """Make what is missing and leave what is there; the reverse channel's secret is new on every start."""
    organisation = Organisation.objects.filter(slug=SLUG).first() or create_organisation(
        name="Demo Energy", slug=SLUG, at=at
    )
    if not organisation.plants.exists():
        document = json.loads(_PLANTS.read_text(encoding="utf-8"))
        sheets = read_plants(document, organisation=organisation)
        save_sheets(sheets=sheets, author=Author(name="demo"), at=at)
    connection = organisation.connections.first() or _connect(organisation, at)
    if connection.rest_base_url:
        # A bundle that names no address means the real Voke: a demo's made-up key must never be sent there.
        connection.rest_base_url = ""
        connection.save(update_fields=["rest_base_url"])
    for old in Credential.objects.filter(organisation=organisation, label=_LABEL, enabled=True):
        disable_credential(credential=old)
    issued = issue_credentials(organisation=organisation, label=_LABEL, at=at)
    return DemoInstallation(
        organisation=organisation,
        connection=connection,
        plants=list(organisation.plants.order_by("pk")),
        login=LOGIN,
        password=_login(at),
        client_id=issued.credential.client_id,
        client_secret=issued.secret.reveal(),
    )


def _connect(organisation: Organisation, at: datetime) -> Connection:
    """The bundle that a modelled Voke would show: its host name resolves nowhere, the broker is in this process."""
    api_key = secrets.token_urlsafe(32)
    address = AmqpsAddress(host="broker.invalid", username=SLUG, password=api_key, vhost="partner-demo")
    bundle = {
        "amqpsUri": build_amqps_uri(address),
        "apiKey": api_key,
        "signingKey": secrets.token_hex(32),
        "slug": SLUG,
        "keyId": "demo",
    }
    connection = import_bundle(
        organisation=organisation,
        bundle=parse_bundle(json.dumps(bundle).encode()),
        name="Modelled Voke",
        source="busbar",
        scopes=[],
        sign_emergency=True,
        key_decoding=KeyDecoding.HEX,
        at=at,
    )
    ids = list(organisation.plants.values_list("external_plant_id", flat=True))
    attach_plants(connection=connection, external_plant_ids=ids)
    switch_connection(connection=connection, mode=ConnectionMode.ACTIVE, at=at)
    return connection


def _login(at: datetime) -> str:
    password = os.environ.get("DEMO_PASSWORD") or secrets.token_urlsafe(12)
    user = User.objects.filter(username=LOGIN).first()
    if user is None:
        user = User(username=LOGIN, is_staff=True, is_superuser=True, date_joined=at)
    if not user.has_usable_password() or not user.check_password(password):
        user.set_password(password)
        user.save()
    return password
