"""Backends of the API: PostgreSQL, Redis and S3.

Only PostgreSQL is required. Without Redis or S3, the API works with reduced functions.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from drillbook.lab.app import documents, objects
from drillbook.lab.app.objects import STORE_ERRORS
from drillbook.lab.app.settings import Settings

REMEMBERED = 1.0
CACHED_FOR = 1
CHECK_ERRORS: tuple[type[Exception], ...] = (RedisError, OSError, TimeoutError, *STORE_ERRORS)


@dataclass(slots=True)
class _Memory:
    """Last result of a health check. It is reused for a short time, so that frequent probes do not overload the backend."""

    at: float = float("-inf")
    reason: str | None = None


class Backends:
    """Connections of the API to its backends. Each connection may break and recover at any time."""

    def __init__(self, settings: Settings) -> None:
        """Create the clients without connecting, so that the API starts even when its backends are down."""
        self.settings = settings
        self.pool = documents.pool(settings.database_url, settings.pool_size)
        self.cache = redis.asyncio.from_url(
            settings.redis_url, socket_timeout=0.25, socket_connect_timeout=0.25, retry=Retry(NoBackoff(), 0)
        )
        self.store: Any = objects.connect(
            settings.s3_endpoint, settings.s3_region, settings.s3_access_key, settings.s3_secret_key
        )
        self._memories = {"redis": _Memory(), "s3": _Memory()}

    async def open(self) -> None:
        """Start the connection pool without waiting for a connection."""
        await self.pool.open(wait=False)

    async def close(self) -> None:
        """Close all connections."""
        await self.pool.close(timeout=0.5)
        await self.cache.aclose()

    async def health(self) -> dict[str, str | None]:
        """Check all backends. Return the problem of each backend, with the name of the backend as the key. None means that
        the backend works.
        """
        database, cache, store = await asyncio.gather(
            documents.check(self.settings.database_url, self.settings.health_within),
            self._recall("redis", self._ping),
            self._recall("s3", self._head),
        )
        return {"postgresql": database, "redis": cache, "s3": store}

    async def _recall(self, name: str, check: Callable[[], Awaitable[object]]) -> str | None:
        memory = self._memories[name]
        if time.monotonic() - memory.at > REMEMBERED:
            memory.at = time.monotonic()
            try:
                async with asyncio.timeout(self.settings.health_within):
                    await check()
                memory.reason = None
            except CHECK_ERRORS as error:
                memory.reason = str(error).strip() or type(error).__name__
        return memory.reason

    async def _ping(self) -> None:
        await self.cache.get("ping")

    async def _head(self) -> None:
        await asyncio.to_thread(self.store.head_bucket, Bucket=self.settings.s3_bucket)

    async def cached(self, key: str, make: Callable[[], Awaitable[bytes]]) -> bytes:
        """Return the value of ``key`` from the cache. If it is missing, make the value and store it in the cache.

        If the cache is down, make the value without storing it.
        """
        try:
            stored = await self.cache.get(key)
        except (RedisError, OSError):
            return await make()
        if isinstance(stored, bytes):
            return stored
        value = await make()
        with contextlib.suppress(RedisError, OSError):
            await self.cache.set(key, value, ex=CACHED_FOR)
        return value

    async def put_original(self, number: int, body: bytes) -> bool:
        """Store the original file of document ``number``. Return False when the store fails."""
        try:
            bucket = self.settings.s3_bucket
            await asyncio.to_thread(self.store.put_object, Bucket=bucket, Key=objects.key(number), Body=body)
        except STORE_ERRORS:
            return False
        return True

    async def original(self, number: int) -> bytes | None:
        """Read the original file of document ``number``. Returns None when it does not exist.

        Raises BotoCoreError or ClientError when the store fails.
        """

        def read() -> bytes | None:
            try:
                answer = self.store.get_object(Bucket=self.settings.s3_bucket, Key=objects.key(number))
            except self.store.exceptions.NoSuchKey:
                return None
            body: bytes = answer["Body"].read()
            return body

        return await asyncio.to_thread(read)
