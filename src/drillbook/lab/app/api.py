"""The routes of the document API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import psycopg
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.encoders import jsonable_encoder
from fastapi.responses import JSONResponse
from psycopg_pool import PoolTimeout
from pydantic import BaseModel, Field

from drillbook.lab.app import allocations, documents, time_limit
from drillbook.lab.app.access import Access
from drillbook.lab.app.backends import Backends
from drillbook.lab.app.metrics import Metrics
from drillbook.lab.app.objects import STORE_ERRORS
from drillbook.lab.app.switches import Switches, resident, serving_processes


class NewDocument(BaseModel):
    """Body of the request that stores a document."""

    title: str = Field(min_length=1, max_length=200)
    content: str = Field(min_length=1, max_length=1_000_000)
    metadata: dict[str, Any] = Field(default_factory=dict)


def make(backends: Backends, metrics: Metrics) -> FastAPI:
    """Create the web application, which stores its data in ``backends`` and counts requests in ``metrics``."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await backends.open()
        metrics.begin()
        yield
        await backends.close()

    app = FastAPI(title="Document API of Drillbook's lab", lifespan=lifespan, openapi_url=None)
    switches = backends.settings.switches
    app.add_middleware(Access, metrics=metrics, switches=switches)
    for error in (psycopg.Error, PoolTimeout):
        app.add_exception_handler(error, _database_down)
    _add_operations(app, backends, metrics)
    _add_documents(app, backends)
    _add_document(app, backends, switches)
    if switches.allowed:
        allocations.add(app)
    return app


async def _database_down(request: Request, error: Exception) -> Response:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return JSONResponse({"error": "postgresql", "reason": reason}, status_code=503)


def _add_operations(app: FastAPI, backends: Backends, metrics: Metrics) -> None:
    @app.get("/health")
    async def health() -> Response:
        reasons = await backends.health()
        failing = {name: reason for name, reason in reasons.items() if reason is not None}
        status = "unavailable" if "postgresql" in failing else "degraded" if failing else "ok"
        body = {"status": status, "dependencies": {n: "down" if r else "up" for n, r in reasons.items()}, "failing": failing}
        return JSONResponse(body, status_code=503 if status == "unavailable" else 200)

    @app.get("/memory")
    async def memory() -> Response:
        return JSONResponse({"resident_mib": sum(map(resident, serving_processes())) >> 20})

    @app.get("/capacity")
    async def capacity() -> Response:
        return JSONResponse({"workers": metrics.workers(), "pool_size": backends.pool.max_size})

    @app.get("/metrics")
    async def show_metrics() -> Response:
        total: int | None
        try:
            # Limited to the time of a health check, since a client that scrapes every second waits no longer.
            total = await time_limit.within(backends.settings.health_within, documents.count(backends.pool))
        except (psycopg.Error, PoolTimeout, TimeoutError):
            total = None
        stats = backends.pool.get_stats()
        gauges = {
            "db_pool_connections": stats.get("pool_size", 0),
            "db_pool_available": stats.get("pool_available", 0),
            "db_pool_waiting": stats.get("requests_waiting", 0),
            "documents_total": total,
            "process_resident_memory_bytes": sum(map(resident, serving_processes())),
        }
        return Response(metrics.whole().render(gauges), media_type="text/plain; version=0.0.4")


def _add_documents(app: FastAPI, backends: Backends) -> None:
    @app.get("/api/v1/documents")
    async def list_documents(
        limit: Annotated[int, Query(ge=1, le=200)] = 20,
        offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
    ) -> Response:
        async def read() -> bytes:
            items = await documents.page(backends.pool, limit, offset)
            return bytes(JSONResponse(jsonable_encoder({"limit": limit, "offset": offset, "documents": items})).body)

        return Response(await backends.cached(f"documents:{limit}:{offset}", read), media_type="application/json")

    @app.get("/api/v1/duplicates")
    async def list_duplicates(limit: Annotated[int, Query(ge=1, le=2000)] = 100) -> Response:
        return JSONResponse({"duplicates": await documents.duplicates(backends.pool, limit)})

    @app.post("/api/v1/documents")
    async def create_document(new: NewDocument) -> Response:
        number = await documents.create(backends.pool, new.title, new.content, new.metadata)
        stored = await backends.put_original(number, new.content.encode())
        if stored:
            await documents.complete(backends.pool, number)
        return JSONResponse({"id": number, "original": stored}, status_code=201 if stored else 202)


def _add_document(app: FastAPI, backends: Backends, switches: Switches) -> None:
    @app.get("/api/v1/documents/{number}")
    async def get_document(number: int) -> Response:
        await switches.work()
        document = await documents.find(backends.pool, number)
        if document is None:
            raise HTTPException(404, f"no document {number}")
        return JSONResponse(jsonable_encoder(document))

    @app.get("/api/v1/documents/{number}/original")
    async def get_original(number: int) -> Response:
        try:
            body = await backends.original(number)
        except STORE_ERRORS as error:
            return JSONResponse({"error": "s3", "reason": str(error)}, status_code=503)
        if body is None:
            raise HTTPException(404, f"no original of document {number}")
        return Response(body, media_type="application/octet-stream")
