"""What Voke reported of the seeded plants: as published, otherwise, and not at all."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from dispatch.services.site_reports import Answer, ask_now, store_answers
from plants.models import Plant
from vcp import Family


def make_site_reports(plants: Sequence[Plant], at: datetime) -> None:
    """Two looks at every plant that Voke knows."""
    for minutes in (10, 5):
        asked_at = at - timedelta(minutes=minutes)
        answers = []
        for number, plant in enumerate(plant for plant in plants if plant.voke_uuid is not None):
            question = ask_now(plant=plant, at=asked_at)
            payload = {"siteId": question.site_id, "operatingMode": "STANDARD", "pendingCommands": []}
            fallback = {"mode": "STANDARD", "afterSeconds": 60 if number % 4 == 1 else 900}
            answers.append(
                Answer(question=question, error_code="REST_TIMEOUT")
                if number % 4 == 2
                else Answer(
                    question=question,
                    payload={**payload, "fallback": fallback},
                    config={Family.CONFIG_FALLBACK: fallback},
                )
            )
        store_answers(answers=answers, at=asked_at, grace=timedelta(0))
