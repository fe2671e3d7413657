"""What the templates of the box and the banner are given."""

from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Any, Final

from django.utils.translation import gettext as _

from console.access import Viewer
from console.acting.forms import TABS, BoxForm, DeviceForm, SetpointForm
from console.acting.refusals import codes_of
from console.acting.situation import Situation
from console.acting.standing import resume_text, slot_ask
from dispatch.models import Kind
from dispatch.words import command_title
from plants.models import Plant
from plants.words import label_text
from vcp import Direction

_DEFAULT_TOP_KW: Final = 100.0


@dataclass(frozen=True, kw_only=True)
class Box:
    """The box of one plant with one tab open."""

    situation: Situation
    form: BoxForm

    @classmethod
    def of(cls, situation: Situation, *, tab: str = "", asset: str = "") -> "Box":
        """An empty one; an unknown tab is the first. `asset`: the one that is meant, on the tab for devices."""
        form_type = TABS.get(tab, SetpointForm)
        initial = {"asset": asset} if asset and form_type is DeviceForm else {}
        return cls(situation=situation, form=form_type(situation=situation, initial=initial))


def box_context(box: Box, viewer: Viewer) -> dict[str, Any]:
    """For `_box.html`."""
    situation = box.situation
    return {
        "form": box.form,
        "codes": codes_of(box.form),
        "tab": box.form.tab,
        "tabs": [("setpoint", _("Setpoint")), ("device", _("Device")), ("mode", _("Mode"))],
        "tops": {one.value: top_of(situation.plant, one) for one in Direction},
        "may_act": viewer.may_act,
        "role": viewer.role.label.split(":")[0],
    }


def top_of(plant: Plant, direction: Direction) -> float:
    """Where the slider ends: a round number a third beyond the limit, so that the limit has its mark on it."""
    limit = plant.max_import_kw if direction is Direction.IMPORT else plant.max_export_kw
    if not limit:
        known = (plant.max_import_kw, plant.max_export_kw, plant.max_charge_kw, plant.max_discharge_kw)
        limit = max((one for one in known if one), default=_DEFAULT_TOP_KW)
    wanted = limit * 4 / 3
    step = 10.0 ** floor(log10(wanted)) / 2
    return ceil(wanted / step - 1e-9) * step


def banner_context(situation: Situation) -> dict[str, Any]:
    """For `_banner.html`: what stands above the plan; what resumes after an override costs one statement."""
    override = situation.override
    return {
        "situation": situation,
        "latch": situation.latch,
        "override": override,
        "override_title": "" if override is None else command_title(Kind.SITE_SETPOINT, override.payload),
        "resume": "" if override is None else resume_text(situation, override.until_at),
        "base_mode": label_text(situation.plant.base_mode).lower(),
        "obstacle": situation.obstacle,
        "planned_now": "" if situation.ahead.current is None else slot_ask(situation.ahead.current),
    }
