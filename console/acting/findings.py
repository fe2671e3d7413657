"""What stands for and against a request, in words: the services' rules first, then what would happen."""

from collections.abc import Iterator, Sequence

from django.utils.translation import gettext as _

from console.acting.asked import Asked, is_signed
from console.acting.finding import Finding, fails, fits, tells
from console.acting.outlook import CHARGES, power_of, soc_of
from console.acting.refusals import sentence
from console.acting.situation import Situation
from console.acting.standing import around_of
from plants.errors import DomainError
from plants.models import Asset
from plants.words import age_text, label_text, local_text, power_text
from schedules.slots import local_text as wall_text
from vcp import (
    DeviceBatch,
    DeviceCommand,
    DeviceCommandType,
    Direction,
    SetpointType,
    SiteSetpoint,
)

_OPEN_LIMIT = "CONSTRAINT_VIOLATION"
_IDLE_KW = 0.5
_T = DeviceCommandType


def standing_against(situation: Situation) -> list[Finding]:
    """What keeps everything from being sent, whatever will be typed."""
    if situation.latch is not None:
        return [fails(_latched(situation.latch.type), code="PLANT_LATCHED")]
    obstacle = situation.obstacle
    return [] if obstacle is None else [fails(obstacle.title, code=obstacle.code)]


def _latched(latch_type: str) -> str:
    return _("An emergency %(type)s is in force. Release it first.") % {"type": latch_type}


def findings_of(
    asked: Asked, situation: Situation, refusals: Sequence[DomainError], *, asset: Asset | None = None
) -> list[Finding]:
    """Everything that is to be said: what refuses it, what it leads to, what it stands above."""
    found = [_refusal(one, asked, situation, asset) for one in refusals]
    found += _limits(asked, situation, asset, refused={one.code for one in refusals})
    found += soc_of(asked, situation)
    found += around_of(asked, situation)
    return found


# --- rules ------------------------------------------------------------------------------------------------------------


def _refusal(problem: DomainError, asked: Asked, situation: Situation, asset: Asset | None) -> Finding:
    """In the words of this screen where it has some, else in the service's."""
    if problem.code == _OPEN_LIMIT:
        told = _over_limit(asked, situation, asset)
        if told is not None:
            return told
    if problem.code == "PLANT_LATCHED" and situation.latch is not None:
        text = _latched(situation.latch.type)
        return fails(text, code=problem.code)
    obstacle = situation.obstacle
    if obstacle is not None and obstacle.code == problem.code:
        return fails(f"{obstacle.title}. {obstacle.text}", code=problem.code)
    return fails(sentence(local_text(problem.words)), code=problem.code)


def _over_limit(asked: Asked, situation: Situation, asset: Asset | None) -> Finding | None:
    limit, power_kw = limit_of(asked, situation, asset), power_of(asked)
    if limit is None or power_kw is None or power_kw <= limit:
        return None
    fitting = limit * (_hours_of(asked.payload) if _is_energy(asked) else 1.0)
    unit = "kWh" if _is_energy(asked) else "kW"
    text = _("%(over)s over the %(limit_word)s. Nearest that fits: %(fits)s.") % {
        "over": power_text(power_kw - limit),
        "limit_word": _limit_word(asked, situation, asset),
        "fits": f"{_plain(fitting)}\u202f{unit}",
    }
    return fails(text, code=_OPEN_LIMIT, use=_plain(fitting))


def _plain(value: float) -> str:
    """Rounded down, so that what is shown fits when it is typed."""
    return f"{int(value * 100 + 1e-6) / 100:.2f}".rstrip("0").rstrip(".")


def limit_of(asked: Asked, situation: Situation, asset: Asset | None) -> float | None:
    """The power that may be asked for at most, kW; None = no limit known."""
    plant, payload = situation.plant, asked.payload
    if isinstance(payload, SiteSetpoint):
        return plant.max_import_kw if payload.direction is Direction.IMPORT else plant.max_export_kw
    if isinstance(payload, DeviceBatch) and asset is not None:
        known = [
            one
            for one in (asset.rated_power_kw, _site_limit(payload.commands[0], situation))
            if one is not None
        ]
        return min(known, default=None)
    return None


def _site_limit(command: DeviceCommand, situation: Situation) -> float | None:
    if not command.command.value.startswith("BESS_"):
        return None
    charges = command.command in CHARGES or command.command is _T.BESS_CHARGE_ONLY
    return situation.plant.max_charge_kw if charges else situation.plant.max_discharge_kw


def _limit_word(asked: Asked, situation: Situation, asset: Asset | None) -> str:
    payload, limit = asked.payload, limit_of(asked, situation, asset)
    if isinstance(payload, SiteSetpoint):
        return _("import limit") if payload.direction is Direction.IMPORT else _("export limit")
    if asset is not None and asset.rated_power_kw is not None and limit == asset.rated_power_kw:
        return _("rated power of %(asset)s") % {"asset": asset.external_id}
    return _("battery limit of the site")


def _is_energy(asked: Asked) -> bool:
    return isinstance(asked.payload, SiteSetpoint) and asked.payload.type is SetpointType.ENERGY


def _hours_of(payload: object) -> float:
    return (payload.interval_minutes or 60) / 60 if isinstance(payload, SiteSetpoint) else 1.0


def _limits(
    asked: Asked, situation: Situation, asset: Asset | None, *, refused: set[str]
) -> Iterator[Finding]:
    """How far below its limit it stays, where it does."""
    power_kw = power_of(asked)
    if power_kw is None or _OPEN_LIMIT in refused:
        return
    limit, word = limit_of(asked, situation, asset), _limit_word(asked, situation, asset)
    if limit is None:
        yield tells(_("No %(limit_word)s is known") % {"limit_word": word}, icon="circle-dashed")
    elif limit - power_kw < _IDLE_KW / 10:
        yield fits(_("Exactly the %(limit_word)s") % {"limit_word": word})
    else:
        yield fits(
            _("%(amount)s below the %(limit_word)s")
            % {"amount": power_text(limit - power_kw), "limit_word": word}
        )


def effects_of(asked: Asked, situation: Situation) -> list[Finding]:
    """The review's list: what is sent, when it ends, how it leaves."""
    zone, until = situation.zone, asked.until_at
    found = [tells(_("Put into the outbox at once"), icon="send")]
    if isinstance(asked.payload, SiteSetpoint) and until is not None:
        lasts = age_text(until - situation.at)
        told = _("Holds until %(end)s (%(lasts)s); then Voke lets go of it by itself")
        found.append(tells(told % {"end": wall_text(until, zone=zone), "lasts": lasts}, icon="clock"))
    family = asked.family.value
    if asked.messages == 2:
        found.append(
            tells(
                _("Two messages on %(family)s: the start now, the stop when it is due") % {"family": family},
                icon="mails",
            )
        )
    else:
        found.append(tells(_("One message on %(family)s") % {"family": family}, icon="mails"))
    signed = is_signed(asked, situation)
    found.append(
        tells(
            _("Signed") if signed else _("Not signed: this family is not on the connection's list"),
            icon="signature",
        )
    )
    if isinstance(asked.payload, SiteSetpoint):
        found.append(
            tells(
                _("Priority %(word)s") % {"word": label_text(asked.payload.priority.value).lower()},
                icon="hand",
            )
        )
    return found
