"""Checks of RDB files by the server's own program, and what is read from the beginning of a file."""

from datetime import UTC, datetime

import pytest

from drillbook.errors import CouldNotVerify, NotReady
from drillbook.systems.redis import verification
from drillbook.systems.redis.verification import Checker
from tests.systems.redis.alone import Alone
from tests.systems.redis.unit import program

CTIME = b"\xfa\x05ctime\xc2" + (1_764_500_000).to_bytes(4, "little")


@pytest.mark.parametrize(
    ("beginning", "rdb", "moment"),
    [
        (b"REDIS0011" + CTIME, True, datetime.fromtimestamp(1_764_500_000, UTC)),
        (b"VALKEY080" + b"\xfa\x09redis-ver\x057.2.5" + CTIME, True, datetime.fromtimestamp(1_764_500_000, UTC)),
        (b"REDIS0011" + b"\xfa\x05ctime\x0a1764500000", True, datetime.fromtimestamp(1_764_500_000, UTC)),
        (b"REDIS0011" + b"\xfa\x05ctime\x04soon", True, None),
        (b"REDIS0011" + CTIME[:-6], True, None),
        (b"REDIS0011\xfe\x00", True, None),
        (b"REDIS", False, None),
        (b"PK\x03\x04", False, None),
        (b"", False, None),
    ],
    ids=["integer", "after another", "text", "no time", "cut", "without", "short", "other", "empty"],
)
def test_the_time_of_a_save_is_in_its_header(beginning, rdb, moment):
    assert (verification.is_rdb(beginning), verification.saved_at(beginning)) == (rdb, moment)


@pytest.mark.parametrize(
    ("text", "begins", "foreign"),
    [
        ("Can't handle RDB format version 99", "", True),
        ("Wrong signature: VALKEY080", "VALKEY080", True),
        ("Wrong signature: rubbish", "", False),
        ("[offset 9] Future RDB version 99 detected", "REDIS0099", True),
        ("[offset 12] Future RDB version 99 detected", "REDIS0011", False),
        ("format error", "VALKEY080", True),
        ("format error", "REDIS0011", False),
        ("RDB looks OK!", "REDIS0011", False),
    ],
)
def test_a_format_that_the_checker_does_not_know_is_no_damage(text, begins, foreign):
    assert verification._is_foreign(text, begins) is foreign


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """RDB of a server with two keys, of which one has a time to live, in the databases 0 and 2."""
    folder = tmp_path_factory.mktemp("alone")
    with Alone(folder) as alone:
        alone.client().set("page", "1", ex=3600)
        alone.client(2).set("page", "2")
        return alone.saved()


@pytest.fixture
def tool(cache, tmp_path):
    ctx = cache.context()
    return Checker(lambda argv: ctx.run(*argv), ctx.host, program(), str(tmp_path))


def test_a_whole_file_is_told_with_its_keys(tool, saved, tmp_path):
    (tmp_path / "dump.rdb").write_bytes(saved)
    verdict = tool.rdb("nightly", str(tmp_path / "dump.rdb"))
    assert verdict.problems == ()
    assert (verdict.keys, verdict.expires, verdict.expired, verdict.databases, verdict.checksum) == (2, 1, 0, 3, True)
    assert verdict.begins == saved[:9].decode()


@pytest.mark.parametrize(
    ("change", "code", "measured"),
    [
        (lambda data: data[:-20], "backup-damaged", ""),
        (lambda data: data + b"more", "backup-damaged", "4 more bytes after the end of the RDB"),
        (lambda _: b"", "backup-empty", "a file of 0 bytes"),
    ],
    ids=["cut", "longer", "empty"],
)
def test_a_file_that_is_not_whole_has_one_finding(tool, saved, tmp_path, change, code, measured):
    (tmp_path / "dump.rdb").write_bytes(change(saved))
    (problem,) = tool.rdb("nightly", str(tmp_path / "dump.rdb")).problems
    assert (problem.code, problem.title.endswith("nightly"), measured in problem.measured) == (code, True, True)


def test_a_host_without_a_checker_is_told(cache, tmp_path):
    ctx = cache.context()
    run = lambda argv: ctx.run(*argv)  # noqa: E731
    verification.need_checker(run, ctx.host, program())
    with pytest.raises(NotReady, match="db-1 has no /nowhere/valkey-server"):
        verification.need_checker(run, ctx.host, "/nowhere/valkey-server")
    (tmp_path / "dump.rdb").write_bytes(b"REDIS0011")
    with pytest.raises(CouldNotVerify, match="db-1 has no program that can check"):
        Checker(run, ctx.host, "/nowhere/valkey-server", str(tmp_path)).rdb("nightly", str(tmp_path / "dump.rdb"))


def test_a_format_of_the_future_is_told_before_the_drill(cache):
    ctx = cache.context()
    run = lambda argv: ctx.run(*argv)  # noqa: E731
    for beginning in (b"REDIS0009", b"no RDB at all", b""):
        verification.need_format(run, ctx.host, program(), "nightly", beginning)
    with pytest.raises(NotReady, match="nightly has the format REDIS0099, which the Redis or Valkey on db-1 does not know"):
        verification.need_format(run, ctx.host, program(), "nightly", b"REDIS0099")
