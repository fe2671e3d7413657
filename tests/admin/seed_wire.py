"""What crossed the wire: config updates, the pull journal, dead letters, schedule notices."""

import random
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime, timedelta

from dispatch.models import ScheduleNotice
from plants.models import (
    Connection,
    Plant,
)
from plants.services.dead_letters import Letter, store_dead_letter
from plants.time_config import Block
from trading_api.models import ConfigUpdateRequest, Credential, HeldBecause, PullJournal, UpdateState


def make_updates(
    plants: Sequence[Plant], credentials: Sequence[Credential], at: datetime
) -> list[ConfigUpdateRequest]:
    asked = [
        Block(
            start_minute=0,
            end_minute=360,
            p_bat_min_kw=-10.0,
            p_bat_max_kw=120.0,
            soc_min_pct=15.0,
            soc_max_pct=95.0,
        ),
        Block(
            start_minute=360,
            end_minute=720,
            p_bat_min_kw=-120.0,
            p_bat_max_kw=60.0,
            soc_min_pct=10.0,
            soc_max_pct=95.0,
        ),
        Block(
            start_minute=720,
            end_minute=1440,
            p_bat_min_kw=-80.0,
            p_bat_max_kw=60.0,
            soc_min_pct=10.0,
            soc_max_pct=95.0,
        ),
    ]
    states = (UpdateState.OPEN, UpdateState.APPLIED, UpdateState.REFUSED, UpdateState.SUPERSEDED)
    rows = []
    for number, plant in enumerate(plants[:8]):
        state = states[number % len(states)]
        decided = state in (UpdateState.APPLIED, UpdateState.REFUSED)
        rows.append(
            ConfigUpdateRequest.objects.create(
                request_id=uuid.UUID(int=9_000_000 + number),
                plant=plant,
                credential=next(one for one in credentials if one.organisation_id == plant.organisation_id),
                blocks=[asdict(block) for block in asked],
                state=state,
                held_because=HeldBecause.POLICY if state == UpdateState.OPEN else "",
                based_on=2,
                asked_at=at - timedelta(minutes=25 + number),
                decided_at=at - timedelta(minutes=5) if decided else None,
                decided_by_name="jana" if decided else "",
                note="The site needs 20 % in reserve" if state == UpdateState.REFUSED else "",
            )
        )
    return rows


def fill_journal(
    plants: Sequence[Plant],
    credentials: Sequence[Credential],
    count: int,
    at: datetime,
    chance: random.Random,
) -> None:
    shapes = (
        ("token", "POST", 200, "", False),
        ("list", "GET", 200, "", False),
        ("config", "GET", 200, "", True),
        ("config", "GET", 304, "", True),
        ("update", "POST", 200, "ACCEPTED", True),
        ("config", "GET", 404, "PLANT_NOT_FOUND", False),
        ("token", "POST", 401, "UNAUTHORIZED", False),
        ("list", "GET", 500, "INTERNAL_SERVER_ERROR", False),
    )
    rows = []
    for number in range(count):
        endpoint, method, status, result, with_plant = shapes[number % len(shapes)]
        plant = plants[number % len(plants)] if with_plant else None
        credential = None if status == 401 else credentials[0]
        rows.append(
            PullJournal(
                at=at - timedelta(seconds=40 * (count - number)),
                last_at=at if status == 401 else None,
                count=37 if status == 401 else 1,
                organisation=None if credential is None else credential.organisation,
                credential=credential,
                plant=plant,
                client_id="voke-moravia-flex" if credential else "someone",
                address="203.0.113.7",
                request_id=uuid.UUID(int=number).hex,
                endpoint=endpoint,
                method=method,
                plant_ref=plant.external_plant_id if plant else ("PLANT-999" if status == 404 else ""),
                version=2 if with_plant else None,
                status=status,
                result=result,
                latency_ms=chance.uniform(3, 40),
                bytes_in=120,
                bytes_out=640,
                body='{"plantId":"PLANT-001","timeConfigs":[]}' if endpoint == "update" else "",
            )
        )
    PullJournal.objects.bulk_create(rows)


def fill_inbox(
    plants: Sequence[Plant], links: Sequence[Connection], count: int, at: datetime, chance: random.Random
) -> None:
    bodies = (
        ("MALFORMED_JSON", "", b'{"version":"1.1", "messageId": oops', "expecting value"),
        (
            "UNKNOWN_SITE",
            "siteId",
            b'{"version":"1.1","siteId":"7a1d2c3b-0000-4a6b-8c7d-9e0f1a2b3c4d"}',
            "7a1d2c3b-0000",
        ),
        ("INVALID_TEXT", "", b"\x00\xff\xfe\x01binary\x1b[31m", "not UTF-8"),
        ("MISSING_FIELD", "payload.status", b'{"version":"1.1","payload":{}}', "status is required"),
    )
    for number in range(count):
        reason, where, body, detail = bodies[number % len(bodies)]
        letter = Letter(
            queue="vcp.acme.event.status",
            routing_key="acme.event.command.ack",
            headers={"x-death": "none"},
            body=body + b" " * number,
            reason=reason,
            path=where,
            detail=detail,
        )
        for _ in range(chance.randint(1, 3)):
            store_dead_letter(connection_id=links[0].pk, letter=letter, at=at - timedelta(minutes=7 * number))
    for number, plant in enumerate(plants[:10]):
        ScheduleNotice.objects.create(
            plant=plant,
            schedule_id=f"b7{number:06d}",
            status=("ACTIVE", "COMPLETED", "REPLANNED")[number % 3],
            reason="" if number % 2 else "replanned",
            told_at=at - timedelta(minutes=number),
            received_at=at - timedelta(minutes=number),
        )
