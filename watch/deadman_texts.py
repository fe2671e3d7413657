"""What the alarms of this platform about itself say, in sentences that pages translate. Pure."""

from datetime import UTC, datetime

from vcp.said import Fact, Said, said, worded
from watch.facts import LetterFact, LinkFact

_MONTHS = (
    said("Jan"),
    said("Feb"),
    said("Mar"),
    said("Apr"),
    said("May"),
    said("Jun"),
    said("Jul"),
    said("Aug"),
    said("Sep"),
    said("Oct"),
    said("Nov"),
    said("Dec"),
)


def clock_text(at: datetime) -> Said:
    """`3 Jan 14:05 UTC`: the same words at every evaluation, where an age would change each time."""
    utc = at.astimezone(UTC)
    month = _MONTHS[utc.month - 1]
    return said("%(day)s %(month)s %(time)s UTC", day=utc.day, month=month, time=f"{utc:%H:%M}")


def link_text(link: LinkFact) -> Said:
    """The present state of a link, since when, and what to do."""
    since = f" since {clock_text(link.since)}" if link.since else ""
    title = link.title or link.state.capitalize()
    text = f"{link.name}: {title[:1].lower()}{title[1:]}{since}. {link.action}".strip()
    told: dict[str, Fact] = {"name": link.name, "title": Said(title), "action": Said(link.action)}
    if link.since:
        like = said("%(name)s: %(title)s since %(since)s. %(action)s", since=clock_text(link.since), **told)
    else:
        like = said("%(name)s: %(title)s. %(action)s", **told)
    return worded(text, like)


def letters_text(fact: LetterFact, *, most: int, minutes: int) -> Said:
    """More messages than are usual could not be used."""
    told: dict[str, Fact] = {"name": fact.name, "most": most, "minutes": minutes}
    if not fact.mostly:
        return said(
            "%(name)s: more than %(most)s messages of Voke within %(minutes)s min could not be used. "
            "The dead letters say why, with their bytes.",
            **told,
        )
    return said(
        "%(name)s: more than %(most)s messages of Voke within %(minutes)s min could not be used, mostly %(mostly)s. "
        "The dead letters say why, with their bytes.",
        mostly=fact.mostly,
        **told,
    )
