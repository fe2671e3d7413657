"""Steps that the tests of acting share: a plant with values, what is typed, what a review carries to the button."""

from datetime import timedelta
from html.parser import HTMLParser
from typing import Any

from django.urls import reverse

from plants.models import Organisation, Plant, PlantState
from tests import factories
from tests.factories import AT

HX = {"HX-Request": "true"}
SETPOINT = {"direction": "EXPORT", "amount": "20", "until": "30", "consumption": "on"}
DEVICE = {"asset": "B1", "action": "BESS_DISCHARGE", "amount": "30", "until": "15", "respect_limits": "on"}
MODE = {"mode": "PEAK_SHAVING", "until": "none", "reason": "Cap the quarter"}
ASKS = {"setpoint": SETPOINT, "device": DEVICE, "mode": MODE}


def acting_plant(
    organisation: Organisation, *, link: Any = None, measured: bool = True, **changes: Any
) -> Plant:
    """A plant of the organisation with a battery at half charge; 10 kW of sun, 4 kW of load."""
    on = link or factories.connection(owner=organisation)
    facts: dict[str, Any] = {
        "name": "Brewery Přerov",
        "capacity_kwh": 80.0,
        "soc_min_pct": 10.0,
        "soc_max_pct": 90.0,
    }
    plant = factories.plant(on=on, **(facts | changes))
    if measured:
        PlantState.objects.filter(plant=plant).update(
            measured_at=AT - timedelta(seconds=3),
            received_at=AT,
            grid_power_kw=-6.0,
            fve_power_kw=10.0,
            battery_power_kw=0.0,
            consumption_power_kw=4.0,
            soc_pct=50.0,
            data_quality="GOOD",
        )
    return plant


def url(name: str, plant: Plant, *more: Any) -> str:
    return reverse(f"console:acting:{name}", args=[plant.pk, *more])


def words(response: Any) -> str:
    """What a person reads of an answer."""
    reader = _Words()
    reader.feed(response.content.decode())
    return " ".join(" ".join(reader.found).replace("\u202f", " ").split())


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._silent = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._silent += tag in ("script", "style", "title")

    def handle_endtag(self, tag: str) -> None:
        self._silent -= tag in ("script", "style", "title")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.found.append(data)


def carried(response: Any) -> dict[str, str]:
    """What the review carries to the button, with the reason that it was given."""
    return dict(response.context["hidden"]) | {"reason": response.context["form"]["reason"].value() or ""}


def review(client: Any, plant: Plant, tab: str = "setpoint", **changes: Any) -> Any:
    return client.post(url("review", plant, tab), ASKS[tab] | changes, headers=HX)


def send(client: Any, plant: Plant, reviewed: Any, tab: str = "setpoint", **changes: Any) -> Any:
    return client.post(url("send", plant, tab), carried(reviewed) | changes, headers=HX)


def check(client: Any, plant: Plant, tab: str = "setpoint", **changes: Any) -> Any:
    return client.post(url("check", plant, tab), ASKS[tab] | changes, headers=HX)
