"""The list endpoint on FastAPI, for reference: asynchronous from end to end, psycopg's asynchronous pool, no ORM.

Token checked, credential read, rows read, journal row written before the answer, as ours; none of what surrounds it
(limits, error envelope, redaction, metrics, conditional requests).
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Annotated, Any
from uuid import uuid4

import jwt
import msgspec
from django.conf import settings
from fastapi import FastAPI, Header, HTTPException, Request, Response
from psycopg_pool import AsyncConnectionPool

from bench.floor_web import SELECT, Plant
from esm import clock

CREDENTIAL = "SELECT id, organisation_id, enabled, revision FROM trading_api_credential WHERE client_id = %s"
INSERT = """
INSERT INTO trading_api_pulljournal (at, count, organisation_id, credential_id, client_id, address, request_id,
    endpoint, method, plant_ref, status, result, detail, latency_ms, bytes_in, bytes_out, body)
VALUES (%s, 1, %s, %s, %s, %s, %s, 'list', 'GET', '', 200, %s, '', %s, 0, %s, '')
"""


def build(database_url: str) -> FastAPI:
    """The application with a pool of its own, as large as the platform's threads."""
    pool = AsyncConnectionPool(
        database_url, min_size=1, max_size=settings.WEB_THREADS, kwargs={"autocommit": True}, open=False
    )

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with pool:
            yield

    app = FastAPI(lifespan=lifespan)

    @app.get("/trading/plant/list")
    async def plants(request: Request, authorization: Annotated[str, Header()]) -> Response:
        began, at, claims = monotonic(), clock.now(), _claims(authorization)
        async with pool.connection() as database:
            found = await (await database.execute(CREDENTIAL, (claims["sub"],))).fetchone()
            if found is None or not found[2] or found[3] != claims["rev"]:
                raise HTTPException(401)
            rows = await (await database.execute(SELECT, (found[1],))).fetchall()
            body = msgspec.json.encode([Plant(row[0], *row) for row in rows])
            values = (
                at, found[1], found[0], claims["sub"], request.client.host if request.client else None, uuid4().hex,
                f"{len(rows)} plants", round((monotonic() - began) * 1000, 2), len(body),
            )  # fmt: skip
            await database.execute(INSERT, values)
        return Response(body, media_type="application/json")

    return app


def _claims(authorization: str) -> dict[str, Any]:
    key = settings.JWT_KEYS[0]
    try:
        return jwt.decode(
            authorization.removeprefix("Bearer "),
            key.verifying,
            algorithms=[key.algorithm],
            audience=settings.TRADING_TOKEN_AUDIENCE,
            issuer=settings.TRADING_TOKEN_ISSUER,
        )
    except jwt.InvalidTokenError as error:
        raise HTTPException(401) from error
