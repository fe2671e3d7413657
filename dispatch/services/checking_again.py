"""A person asks why once more: our own evidence is looked at again, and Voke's log read again where it may know better.

Edge cases (the concurrency policy):
- The lock of the command guards its diagnosis, as for everybody who writes one.
- While it is being looked into already nothing is done twice: who asks is told so.
- What was found stays until something else is found; a silence that has ended has nothing more to find out.
- Between two times a pause is kept, so that no impatience reaches Voke's REST.
"""

from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from dispatch.models import Command, Diagnosis, DiagnosisStage
from dispatch.requests import Actor
from dispatch.services.life import Note, append_notes
from plants.errors import Conflict, NotFound
from vcp.said import said

CHECKED_AGAIN: Final = "CHECKED_AGAIN"
PAUSE: Final = timedelta(seconds=10)


@transaction.atomic
def check_again(*, command_id: int, organisation_id: int, actor: Actor, at: datetime) -> None:
    """Have a silence looked into anew; the ticks do the looking, at once.

    Raises NotFound, or Conflict: NOTHING_TO_EXPLAIN (there is no silence, or it has ended), CHECKED_JUST_NOW (it is
    being looked into, or was within PAUSE).
    """
    command = (
        Command.objects.select_for_update(of=("self",))
        .filter(pk=command_id, organisation_id=organisation_id)
        .first()
    )
    if command is None:
        raise NotFound(said("no such command"), path="command", code="COMMAND_NOT_FOUND")
    row = Diagnosis.objects.filter(command_id=command_id, ended_at__isnull=True).first()
    if row is None:
        raise Conflict(said("there is no silence to explain"), code="NOTHING_TO_EXPLAIN")
    if row.stage != DiagnosisStage.DONE or (row.made_at is not None and at - row.made_at < PAUSE):
        raise Conflict(said("it is being looked into, or was just now"), code="CHECKED_JUST_NOW")
    row.stage, row.look_at, row.attempts = DiagnosisStage.LOCAL, at, 0
    row.save(update_fields=["stage", "look_at", "attempts"])
    append_notes(notes=[Note(command_id=command_id, word=CHECKED_AGAIN, actor=actor.name)], at=at)
