"""What several journeys do on their way: find a plant, type a setpoint, be somebody new, speak as Voke does."""

import base64
import json
import re
import secrets
import shlex
import subprocess
from datetime import datetime, timedelta
from urllib.request import Request, urlopen

from django_otp.oath import TOTP
from playwright.sync_api import Locator, Page, expect

from tests.browser.console.screens import settle

CODE_EVERY = timedelta(seconds=30)
_ANSWER_S = 60


def plant_page(page: Page, name: str) -> str:
    """The address of a plant's page, as the fleet's list links it."""
    settle(page, "/console/fleet/?view=all")
    path = page.locator("tr.pr", has_text=name).locator(".pl a").get_attribute("href")
    assert path is not None
    return path


def changes(place: Locator) -> None:
    """What stands there becomes something else while the page stays."""
    expect(place).not_to_have_text(place.inner_text())


def setpoint(page: Page, kw: int, way: str, *, with_consumption: bool = True) -> Locator:
    """Typed, checked and reviewed: the dialog before the sending."""
    page.get_by_role("radiogroup", name="Direction").get_by_text(way, exact=True).click()
    page.locator("#act-amount").fill(str(kw))
    if not with_consumption:
        page.locator(".act-more summary").click()
        page.get_by_label("Local consumption counts in").uncheck()
    expect(page.locator("#act")).to_contain_text(re.compile(r"below the (ex|im)port limit"))
    page.get_by_role("button", name="Review and send").click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_contain_text(f"{way} {kw}")
    return dialog


def code_of(secret: str, *, at: datetime) -> str:
    """What the authenticator app of a person shows at that moment."""
    generator = TOTP(base64.b32decode(secret.replace(" ", "")))
    generator.time = at.timestamp()
    return f"{generator.token():06d}"


def bundle(slug: str) -> tuple[str, list[str]]:
    """A bundle as Voke shows it, of a Voke whose names nobody knows, and the secrets in it."""
    api_key, signing_key = secrets.token_urlsafe(32), secrets.token_hex(32)
    members = {
        "amqpsUri": f"amqps://{slug}:{api_key}@broker.invalid:5671/partner-{slug}",
        "apiKey": api_key,
        "signingKey": signing_key,
        "slug": slug,
        "keyId": "k1",
        "restBaseUrl": "https://rest.invalid",
    }
    return json.dumps(members), [api_key, signing_key]


def issued(page: Page, label: str) -> str:
    """The line for a shell that fresh credentials come with, as its button copies it."""
    page.get_by_label("Label").fill(label)
    page.get_by_role("button", name="Issue credentials").click()
    dialog = page.get_by_role("dialog", name="Give this to Voke")
    dialog.get_by_role("button", name="Copy the line").click()
    line = dialog.locator("#given-curl").inner_text()
    page.wait_for_function("line => navigator.clipboard.readText().then(copied => copied === line)", arg=line)
    dialog.get_by_role("link", name="I have copied it").click()
    expect(dialog).to_have_count(0)
    return line


def token_of(line: str) -> str:
    """What the line gets where it is run."""
    answer = subprocess.run(shlex.split(line), check=True, capture_output=True, timeout=_ANSWER_S)
    token: str = json.loads(answer.stdout)["accessToken"]
    return token


def asked_by_voke(url: str, token: str, *, battery_kw: float) -> dict[str, object]:
    """The answer to an update of the solar park's config: its updates wait for a person."""
    block = {
        "from": "00:00",
        "to": "23:59",
        "pBatMin": -battery_kw,
        "pBatMax": battery_kw,
        "socMin": 5,
        "socMax": 90,
    }
    request = Request(
        f"{url}/trading/plant/config/update",
        data=json.dumps({"plantId": "SOLAR-PARK", "timeConfigs": [block]}).encode(),
        headers={"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
    )
    with urlopen(request, timeout=_ANSWER_S) as told:
        answer: dict[str, object] = json.load(told)
    return answer
