"""A command's story as plain text, to paste into a mail to Voke: what was asked, what is known, what is not."""

from collections.abc import Iterator

from django.utils.translation import gettext as _

from console.commands.diagnosis import Card
from console.commands.life import Life
from console.commands.timeline import Entry
from console.commands.verdict import Says
from console.commands.words import full_title
from dispatch.words import state_word


def report_text(life: Life, verdict: Says, card: Card | None, entries: list[Entry]) -> str:
    """The whole report; no secret is in it, and no address but Voke's own ids."""
    return "\n".join(_lines(life, verdict, card, entries))


def _lines(life: Life, verdict: Says, card: Card | None, entries: list[Entry]) -> Iterator[str]:
    command, plant = life.command, life.command.plant
    yield f"{_('Command')} #{command.pk}: {full_title(command)}"
    yield f"{_('Plant')}: {plant.name} ({plant.external_plant_id}{f', {plant.voke_uuid}' if plant.voke_uuid else ''})"
    yield f"{_('State')}: {state_word(life.state)}"
    yield f"{_('Asked for')}: {command.requested_at:%Y-%m-%dT%H:%M:%S}Z"
    sent = life.sent
    if sent is not None:
        yield f"{_('Message id')}: {sent.message_id}"
        yield f"{_('Correlation id')}: {sent.correlation_id}"
        yield f"{_('Routing key')}: {sent.routing_key}"
    yield ""
    yield f"{verdict.title}. {verdict.text}".strip()
    if card is not None:
        yield from _of_card(card)
    yield ""
    for entry in entries:
        if entry.kind != "ahead":
            told = "; ".join([*entry.lines, *entry.marks])
            yield f"{entry.offset:>14}  {entry.title}{f': {told}' if told else ''}"


def _of_card(card: Card) -> Iterator[str]:
    yield ""
    if card.cause is not None:
        yield f"{_('Diagnosis')}: {card.cause.title} ({card.sure}). {card.cause.text}"
    for one in card.decisive:
        yield f"  + {one.title}: {one.text}"
    for one in card.others:
        yield f"  - {one.title}: {one.text}"
    if card.step is not None:
        yield f"{_('Next')}: {card.step.title}. {card.step.text}"
