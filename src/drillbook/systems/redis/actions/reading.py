"""Actions that only read a server: a check of its health, and measurements of a cache."""

from __future__ import annotations

from drillbook.errors import CouldNotVerify, StepFailed
from drillbook.findings import finding
from drillbook.sdk.action import Context, Facts, Place, Read
from drillbook.systems.redis import content, preflight, server_state
from drillbook.systems.redis.actions.fields import ServiceName
from drillbook.systems.redis.connection import Session, connected
from drillbook.systems.redis.service import Redis


class Healthy(Read):
    """Check that a Redis server works.

    The server must answer, be a master, have loaded its data, persist to disk without errors, and have memory for new data.
    """

    SERVICE = Redis
    PLACE = Place.CONTROLLER

    service: ServiceName

    def ready(self, ctx: Context) -> None:
        """Check that the user may read the state of the server."""
        preflight.need(ctx, ctx.service(self.service, Redis), [("PING",), ("INFO", "server")])

    def run(self, ctx: Context) -> Facts:
        """Facts: ``server`` (name of the program), ``version``, ``role``, ``loading`` (true while the server loads its data),
        ``keys`` (number of keys), ``databases`` (number of databases), ``uptime_s``, ``memory_bytes`` (used memory),
        ``maxmemory_bytes`` (the server's limit), ``policy`` (the eviction policy), ``persistence`` (status of the writes to
        disk).
        """
        service = ctx.service(self.service, Redis)
        try:
            with connected(ctx, service) as session:
                session.ask("PING")
                facts = _health(session)
        except CouldNotVerify as error:
            raise StepFailed(
                f"{self.service} does not work: {error.message}",
                findings=[
                    finding("redis-unhealthy", title=self.service, wanted="an answer to PING", measured=error.message)
                ],
            ) from error
        if wrong := _unhealthy(facts):
            raise StepFailed(
                f"{self.service} is not healthy: {wrong[0][1]}",
                facts=facts,
                findings=[
                    finding("redis-unhealthy", title=self.service, wanted=wanted, measured=seen) for wanted, seen in wrong
                ],
            )
        return facts


def _health(session: Session) -> Facts:
    name, version = server_state.version(session)
    memory, disk = session.info("memory"), session.info("persistence")
    sizes = session.sizes()
    return {
        "server": name,
        "version": version,
        "role": session.info("replication").get("role", "?"),
        "loading": disk.get("loading", "0") != "0",
        "keys": sum(sizes.values()),
        "databases": len(sizes),
        "memory_bytes": int(memory["used_memory"]),
        "maxmemory_bytes": int(memory["maxmemory"]),
        "policy": memory["maxmemory_policy"],
        "uptime_s": int(session.info("server")["uptime_in_seconds"]),
        "persistence": {
            "append_only": disk["aof_enabled"] == "1",
            "append_status": disk["aof_last_write_status"],
            "save_status": disk["rdb_last_bgsave_status"],
            "saved_at": int(disk["rdb_last_save_time"]),
            "changes_since": int(disk["rdb_changes_since_last_save"]),
        },
    }


def _unhealthy(facts: Facts) -> list[tuple[str, str]]:
    """Return the expected and the actual state for each problem in ``facts``."""
    disk = facts["persistence"]
    full = 0 < facts["maxmemory_bytes"] <= facts["memory_bytes"] and facts["policy"] == "noeviction"
    checks = [
        (facts["role"] == "master", "role master", f"role {facts['role']}"),
        (not facts["loading"], "all data loaded", "still loading its data"),
        (
            disk["save_status"] == "ok",
            "the last background save successful",
            f"the status of the last background save is {disk['save_status']}",
        ),
        (
            not disk["append_only"] or disk["append_status"] == "ok",
            "a writable append-only file",
            f"status of the last write to the append-only file: {disk['append_status']}",
        ),
        (
            not full,
            f"memory below {facts['maxmemory_bytes']} bytes",
            f"{facts['memory_bytes']} bytes in use, and the server's policy is not to evict keys",
        ),
    ]
    return [(wanted, seen) for good, wanted, seen in checks if not good]


OWN_LIMIT = 200_000
"""Largest number of keys in a keyspace in which Drillbook's own keys are counted. In a larger keyspace, the few keys of
Drillbook do not matter, and are not counted.
"""


class Usage(Read):
    """Measure the use of a cache: its keys, hits, misses, memory, evictions and flushes.

    The numbers come from the command INFO. The server counts hits and misses since its start, or since the last CONFIG
    RESETSTAT.
    """

    SERVICE = Redis
    PLACE = Place.CONTROLLER

    service: ServiceName

    def ready(self, ctx: Context) -> None:
        """Check that the user may run INFO and list the keys."""
        preflight.need(ctx, ctx.service(self.service, Redis), [("INFO", "server"), ("SCAN", "0", "COUNT", 1)])

    def run(self, ctx: Context) -> Facts:
        """Facts about keys: ``keys`` (number of keys), ``lasting_keys`` (number of keys that never expire, without Drillbook's
        own keys), ``evicted`` and ``expired`` (numbers of keys that the server removed), ``flushes`` (number of FLUSHALL and
        FLUSHDB commands since the server's start).

        Facts about the use: ``hits``, ``misses``, ``hit_rate``, ``clients`` (number of connections), ``memory_bytes`` (used
        memory), ``maxmemory_bytes`` (the server's limit), ``uptime_s``.
        """
        with connected(ctx, ctx.service(self.service, Redis)) as session:
            stats, memory, calls = session.info("stats"), session.info("memory"), session.info("commandstats")
            spaces, uptime = session.info("keyspace"), int(session.info("server")["uptime_in_seconds"])
            clients = int(session.info("clients")["connected_clients"])
            counts = [
                dict(part.split("=", 1) for part in text.split(",")) for name, text in spaces.items() if name[:2] == "db"
            ]
            keys, fleeting = (sum(int(count[word]) for count in counts) for word in ("keys", "expires"))
            own = sum(map(len, content.names(session, f"{content.OWN}*"))) if keys <= OWN_LIMIT else 0
        hits, misses = int(stats["keyspace_hits"]), int(stats["keyspace_misses"])
        flushed = [calls[name] for name in ("cmdstat_flushall", "cmdstat_flushdb") if name in calls]
        flushes = sum(int(statistics.split(",")[0].removeprefix("calls=")) for statistics in flushed)
        return {
            "keys": keys,
            "lasting_keys": max(0, keys - fleeting - own),
            "hits": hits,
            "misses": misses,
            "hit_rate": round(hits / (hits + misses), 4) if hits + misses else None,
            "memory_bytes": int(memory["used_memory"]),
            "maxmemory_bytes": int(memory["maxmemory"]),
            "evicted": int(stats["evicted_keys"]),
            "expired": int(stats["expired_keys"]),
            "flushes": flushes,
            "uptime_s": uptime,
            "clients": clients,
        }
