"""Action `redis.newest_moment`: find when a key was last written."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field

from drillbook.errors import CouldNotVerify
from drillbook.sdk.action import Context, Facts, Place
from drillbook.sdk.backup_source import parsed_moment
from drillbook.sdk.moments import SAMPLE, MeasuresLoss, Moment, measured, newest
from drillbook.systems.redis import content, preflight
from drillbook.systems.redis.actions.fields import ServiceName
from drillbook.systems.redis.connection import Command, Session, connected
from drillbook.systems.redis.service import Redis
from drillbook.values import Duration

MILLISECONDS = 100_000_000_000
"""Largest number that is read as a time in seconds since 1970. A larger number is a time in milliseconds."""
_HINT = "set `times` (keys whose value is a time) or `lifetimes` (keys that are always written with the same time to live)"


class NewestMoment(MeasuresLoss):
    """Find the time of the newest write in a keyspace, usually in a restored copy.

    If the copy replaced the original, all later writes would be lost.

    The time of a write is found for three kinds of keys. For a stream, it is in the id of the newest entry. For a key whose
    value is the time of the write, it is read from this value. For a key that is always written with the same time to live, it
    is computed from the remaining time. The result is the newest of all these times.
    """

    SERVICE = Redis
    PLACE = Place.CONTROLLER
    TIMEOUT = 300.0

    service: ServiceName
    times: Annotated[
        tuple[str, ...],
        Field(
            description="Patterns of keys whose value is a time: seconds or milliseconds since 1970, or ISO 8601 with offset."
        ),
    ] = ()
    lifetimes: Annotated[
        Mapping[str, Duration],
        Field(
            description="For each pattern of keys, the time to live that clients set at every write, such as `{session:*: 30m}`."
        ),
    ] = {}
    max_age: Annotated[
        Duration | None,
        Field(gt=0, description="Maximum age of the newest write. The step fails when the newest write is older."),
    ] = None

    def ready(self, ctx: Context) -> None:
        """Check that the user may list and read keys. The server is asked whether the user may run each command. The names of
        the keys are not known yet, so the patterns of ``times`` and ``lifetimes`` are used as names.
        """
        commands: list[Command] = [("SCAN", "0", "COUNT", 1)]
        commands += [("GET", pattern) for pattern in self.if_known("times", ())]
        commands += [("PEXPIRETIME", pattern) for pattern in self.if_known("lifetimes", ())]
        preflight.need(ctx, ctx.service(self.service, Redis), commands)

    def run(self, ctx: Context) -> Facts:
        """Facts: ``newest_moment``, ``age_s``, ``error_s``, ``basis``, ``moments``.

        ``newest_moment`` is the newest time that was found in the service's data. A client or the server wrote this time
        according to its own clock. ``age_s`` is the age of ``newest_moment`` in seconds, by the controller's clock. The last
        write may be later than ``newest_moment``, by up to ``error_s`` seconds. ``error_s`` is the usual interval between the
        newest times in the data. ``basis`` says in words where ``newest_moment`` was found. ``moments`` lists every time that
        was found, with its basis and its error.
        """
        with connected(ctx, ctx.service(self.service, Redis)) as session:
            moments = [*_streams(session), *self._times(session), *self._lifetimes(session)]
        return measured(self.service, moments, self.max_age, hint=_HINT)

    def _times(self, session: Session) -> Iterator[Moment]:
        for pattern in self.times:
            keys = _named(session, pattern)
            values = [
                _moment(pattern, value) for value in _answers(session, [("GET", key) for key in keys]) if value is not None
            ]
            yield from newest(values, f"the newest time in the values of the keys {pattern}")

    def _lifetimes(self, session: Session) -> Iterator[Moment]:
        for pattern, lifetime in self.lifetimes.items():
            keys = _named(session, pattern)
            ends = [int(end) for end in _answers(session, [("PEXPIRETIME", key) for key in keys]) if int(end) > 0]
            values = [datetime.fromtimestamp(end / 1000 - float(lifetime), UTC) for end in ends]
            yield from newest(
                values, f"the latest expiry time of the keys {pattern}, minus {lifetime}, the time to live that a write sets"
            )


def _named(session: Session, pattern: str) -> list[bytes]:
    return [key for keys in content.names(session, pattern) for key in keys]


def _answers(session: Session, commands: Sequence[Command]) -> list[Any]:
    """Return the answers to ``commands``. Raises redis.RedisError when the server refuses one of them."""
    answers = session.batch(commands)
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers


def _streams(session: Session) -> Iterator[Moment]:
    """Yield the newest time in the ids of stream entries. The server sets these ids by its clock."""
    keys = _named(session, "*")
    kinds = session.batch([("TYPE", key) for key in keys])
    streams = [key for key, kind in zip(keys, kinds, strict=True) if kind in (b"stream", "stream")]
    entries = _answers(session, [("XREVRANGE", key, "+", "-", "COUNT", SAMPLE) for key in streams])
    ids = [bytes(entry[0]) for answer in entries for entry in answer]
    values = [datetime.fromtimestamp(int(entry_id.partition(b"-")[0]) / 1000, UTC) for entry_id in ids]
    yield from newest(values, "the newest entry of a stream, by its id")


def _moment(pattern: str, value: bytes) -> datetime:
    """Parse the value of a key as a time. Raises CouldNotVerify when the value is not a time."""
    text = bytes(value).decode("utf-8", "replace").strip()
    try:
        if text.replace(".", "", 1).isdecimal():
            number = float(text)
            return datetime.fromtimestamp(number / 1000 if number > MILLISECONDS else number, UTC)
        if moment := parsed_moment(text):
            return moment
    except (ValueError, OverflowError):
        pass
    raise CouldNotVerify(f"the value of a key that matches {pattern} is not a time: {text[:40]!r}", hint=_HINT)
