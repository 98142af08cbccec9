"""The beginning of a backup, read on the restoring host as a restore reads it: from every place, in every compression, encrypted."""

import functools
import hashlib
import os
import re
import subprocess
from dataclasses import replace

import pytest

from drillbook.errors import Cancelled
from drillbook.hosts.local import LocalHost
from drillbook.sdk import backup_beginning
from drillbook.sdk.backup_beginning import LIMIT, Beginning, beginning_of
from drillbook.sdk.backup_places import HostFolder, Printed, place_of
from drillbook.sdk.host import Deadline, Target
from drillbook.systems.tar.source import TarSource
from tests import keys
from tests.needs import need
from tests.sdk.test_backup_places import served
from tests.systems.estate import Estate
from tests.systems.mariadb.artefacts import packed
from tests.systems.postgres.site import BUCKET, site

PACKED = {"sql": "", "gz": "gzip", "zst": "zstd", "lz4": "lz4", "xz": "xz", "bz2": "bzip2"}
TEXT = b"".join(b"%d %s\n" % (n, hashlib.sha256(b"%d" % n).hexdigest().encode()) for n in range(80_000))
"""More than the first megabytes that are fetched; its blocks of LZ4 and bzip2 are larger than the first piece of it."""


@functools.cache
def stored(end):
    if end != "lz4":
        return packed(TEXT, end)
    return subprocess.run([need("lz4"), "-qc", "-B7"], input=TEXT, capture_output=True, check=True).stdout


@pytest.fixture
def place(tmp_path):
    return Estate(tmp_path, services={"copy": {"kind": "folder", "sandbox": {}}}, backups={})


@pytest.fixture
def key(tmp_path):
    need("age")
    return keys.made(tmp_path)


def other(path):
    return HostFolder(LocalHost("other", target=Target(name="other", local=True)), str(path))


@pytest.mark.parametrize("end", PACKED)
@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("where", ["folder", "other host", "url", "command"])
def test_it_is_read_from_every_place_in_every_form(place, tmp_path, key, end, sealed, where):
    (tmp_path / "dumps").mkdir()
    (path := tmp_path / "dumps" / f"shop.{end}").write_bytes(stored(end))
    path = key.sealed(path) if sealed else path
    secrets = tuple(key.identity.reveal().split()[-1:]) if sealed else ()
    with served(tmp_path / "dumps") as url:
        found = beginning_of(
            place.ctx(),
            {
                "folder": place_of(place.ctx(), place.host, str(tmp_path / "dumps")),
                "other host": other(tmp_path / "dumps"),
                "url": place_of(place.ctx(), place.host, f"{url}/{path.name}"),
                "command": Printed(place.host, ("cat", str(path))),
            }[where],
            path.name,
            secrets,
        )
    assert (found.packed, found.why) == (PACKED[end], "")
    assert found.data == TEXT[:LIMIT]
    assert list((tmp_path / "scratch").rglob("*")) == [], "nothing is written"


class Recording(LocalHost):
    """Host that records its scripts."""

    def run(self, argv, **options):
        self.scripts = [*getattr(self, "scripts", ()), argv[2]]
        return super().run(argv, **options)


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("end", ["zst", "lz4"])
def test_a_file_is_decrypted_on_the_host_and_decompressed_in_the_container(place, tmp_path, key, end, sealed):
    (path := tmp_path / f"shop.{end}").write_bytes(stored(end))
    path = key.sealed(path) if sealed else path
    secrets = tuple(key.identity.reveal().split()[-1:]) if sealed else ()
    target = Target(name="here", local=True)
    host, inside = Recording("here", target=target), Recording("inside", target=target)
    found = beginning_of(replace(place.ctx(), host=host), HostFolder(host, str(tmp_path)), path.name, secrets, inside=inside)
    assert (found.packed, found.data) == (PACKED[end], TEXT[:LIMIT])
    assert set(inside.scripts) == {backup_beginning._BEGIN}
    assert backup_beginning._BEGIN not in host.scripts


def test_it_is_read_from_a_bucket(tmp_path):
    with site(tmp_path / "site") as made:
        made.s3().put_object(Bucket=BUCKET, Key="nightly/shop.zst", Body=stored("zst"))
        made.s3().put_object(Bucket=BUCKET, Key="nightly/empty", Body=b"")
        ctx = replace(made.context(), host=made.host)
        found = place_of(ctx, made.host, f"s3://{BUCKET}/nightly/")
        assert beginning_of(ctx, found, "shop.zst").data == TEXT[:LIMIT]
        assert beginning_of(ctx, found, "empty").data == b""
        assert "404" in beginning_of(ctx, found, "gone").why


@pytest.mark.parametrize("shell", [["dash"], ["busybox", "sh"], ["bash", "--posix"]], ids=["dash", "busybox", "bash"])
@pytest.mark.parametrize("end", PACKED)
def test_its_script_runs_in_small_shells(tmp_path, key, shell, end):
    need(shell[0])
    (path := tmp_path / f"shop.{end}").write_bytes(stored(end))
    path = key.sealed(path)
    argv = [*shell, "-c", backup_beginning._BEGIN, "sh", "9", "300", "cat", "--", str(path)]
    given = f"{key.identity.reveal().split()[-1]}\n\n".encode()
    done = subprocess.run(argv, input=given, capture_output=True, check=True)
    assert done.stdout.partition(b"\n")[2][:300] == TEXT[:300]


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\1\2\3\4\5\6\7", b"\xff\\n %s\n", b"BZ", b"\x1f\x8b"])
def test_few_and_odd_bytes_arrive_as_they_are(place, tmp_path, data):
    (tmp_path / "odd").write_bytes(data)
    found = beginning_of(place.ctx(), place_of(place.ctx(), place.host, str(tmp_path)), "odd")
    assert found.data == (b"" if data.startswith(b"\x1f\x8b") else data)


def test_a_command_without_an_end_is_stopped(place):
    endless = Printed(place.host, ("sh", "-c", "while :; do echo row; done"))
    assert beginning_of(place.ctx(), endless, "output").data == (b"row\n" * LIMIT)[:LIMIT]


def test_a_command_that_is_silent_for_too_long_is_killed(place, monkeypatch):
    monkeypatch.setattr(backup_beginning, "READ_S", 0.3)
    found = beginning_of(place.ctx(), Printed(place.host, ("sleep", "600")), "output")
    assert found.data == b""
    assert "exceeded its time limit" in found.why


def test_the_bytes_of_a_command_that_does_not_end_in_time_count(place, monkeypatch):
    monkeypatch.setattr(backup_beginning, "READ_S", 1.0)
    found = beginning_of(place.ctx(), Printed(place.host, ("sh", "-c", "yes | head -c 900000; sleep 600")), "output")
    assert (found.data, found.why) == ((b"y\n" * LIMIT)[:LIMIT], "")


@pytest.mark.parametrize("end", ["sql", "gz", "zst", "xz", "bz2"])
def test_few_bytes_of_a_command_that_then_waits_count(place, tmp_path, monkeypatch, end):
    """The programs print what they hold back when their input ends; less than 4 KiB, they hold back everything."""
    monkeypatch.setattr(backup_beginning, "READ_S", 2.0)
    (path := tmp_path / "shop").write_bytes(packed(TEXT[:900], end))
    found = beginning_of(place.ctx(), Printed(place.host, ("sh", "-c", f"cat {path}; sleep 600")), "output")
    assert (found.data, found.packed, found.why) == (TEXT[:900], PACKED[end], "")


def test_the_bytes_of_a_command_that_waits_are_decompressed_in_a_container(place, tmp_path, monkeypatch):
    monkeypatch.setattr(backup_beginning, "READ_S", 10.0)
    (path := tmp_path / "shop").write_bytes(packed(TEXT[:900], "gz"))
    inside = LocalHost("inside", target=Target(name="inside", local=True))
    found = beginning_of(place.ctx(), Printed(place.host, ("sh", "-c", f"cat {path}; sleep 600")), "output", inside=inside)
    assert (found.data, found.packed, found.why) == (TEXT[:900], "gzip", "")


@pytest.mark.parametrize("accepts", ["-t", ""])
def test_another_program_timeout_does_not_keep_a_file_from_being_read(tmp_path, monkeypatch, accepts):
    """busybox before 1.30 takes `-t SECONDS`, and starts the program `1` otherwise."""
    (program := tmp_path / "timeout").write_text(
        f"""#!/bin/sh
        test "$1" = "{accepts or "nothing"}" || exit 127
        shift
        exec {need("timeout")} "$@"
        """
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    argv = ["sh", "-c", backup_beginning._BEGIN, "sh", "1", "300", "echo", "dump"]
    assert subprocess.run(argv, input=b"\n", capture_output=True, check=True).stdout == b"cat\ndump\n"


@pytest.mark.parametrize("shell", [["dash"], ["busybox", "sh"], ["bash", "--posix"]], ids=["dash", "busybox", "bash"])
def test_its_script_ends_the_input_in_small_shells(shell):
    need(shell[0])
    argv = [*shell, "-c", backup_beginning._BEGIN, "sh", "1", "300", "sh", "-c", "echo dump; exec sleep 2"]
    done = subprocess.run(argv, input=b"\n", capture_output=True, check=True)
    assert done.stdout == b"cat\ndump\n"


def test_reading_leaves_time_for_the_rest_of_the_step(place, monkeypatch):
    ends = []
    monkeypatch.setattr(backup_beginning, "_read", lambda *given: ends.append(given[-1].at) or Beginning(b"dump"))
    ctx = replace(place.ctx(), deadline=Deadline.after(10))
    beginning_of(ctx, Printed(place.host, ("echo", "dump")), "output")
    assert ends[0] < ctx.deadline.at


@pytest.mark.parametrize(("argv", "program"), [(["pzstd", "-qc"], "zstd"), (["lz4", "-qlc"], "lz4")])
def test_rare_forms_of_compression_are_recognised(place, tmp_path, argv, program):
    need(argv[0])
    packed = subprocess.run(argv, input=TEXT, capture_output=True, check=True).stdout
    (tmp_path / "shop").write_bytes(packed)
    found = beginning_of(place.ctx(), place_of(place.ctx(), place.host, str(tmp_path)), "shop")
    assert (found.packed, found.data) == (program, TEXT[:LIMIT])


def test_a_failed_download_is_told_in_one_sentence_without_curl(place, tmp_path, monkeypatch):
    monkeypatch.setattr(backup_beginning, "BEGINNING", backup_beginning.BEGINNING.replace("command -v curl", "false"))
    with served(tmp_path) as url:
        found = beginning_of(place.ctx(), place_of(place.ctx(), place.host, f"{url}/none"), "none")
    assert found.why == "python3: HTTP Error 404: File not found"


def test_a_stop_of_the_run_is_no_unread_backup(place):
    deadline = Deadline.after(60)
    deadline.cancel.set()
    with pytest.raises(Cancelled):
        beginning_of(replace(place.ctx(), deadline=deadline), Printed(place.host, ("sleep", "600")), "output")


def unread(place, tmp_path, name, **fields):
    """Return the doubts of a check before a drill about the beginning of a backup."""
    doubts = []
    source = TarSource(name="nightly", host="here", **{"at": str(tmp_path / "dumps"), **fields})
    found = source.beginning(replace(place.ctx(), doubt=doubts.append), [name])
    assert found.data == b""
    assert source.beginning(place.ctx(), [name]).data == found.data, "a run goes on without a doubt"
    return doubts


def test_a_check_tells_why_it_read_nothing(place, tmp_path, key):
    (tmp_path / "dumps").mkdir()
    (tmp_path / "dumps" / "cut.zst").write_bytes(stored("zst")[:20])
    (tmp_path / "dumps" / "sealed").write_bytes(TEXT)
    key.sealed(tmp_path / "dumps" / "sealed")
    another = keys.made(tmp_path, "another").identity
    of = "the version of the backup {} of nightly, whose beginning cannot be read: "
    for name, fields, why in (
        ("gone", {}, "No such file"),
        ("cut.zst", {}, "cut|premature|[Uu]nexpected|[Rr]ead error"),
        ("sealed.age", {}, "the inventory sets no `identity`"),
        ("sealed.age", {"identity": another}, "no identity matched"),
    ):
        (told,) = unread(place, tmp_path, name, **fields)
        assert told.startswith(of.format(name))
        assert re.search(why, told), told
        assert "report unexpected" not in told


def test_a_check_does_not_start_the_command_of_a_backup_and_a_run_does(place, tmp_path):
    doubts, script = [], f"touch {tmp_path}/begun; echo dump"
    source = TarSource(name="printed", host="here", at=["sh", "-c", script])
    assert source.beginning(replace(place.ctx(), doubt=doubts.append), ["output"]).data == b""
    (told,) = doubts
    assert told.startswith(
        "the version of the backup that the command of printed prints: only a run reads this version, before any fault"
    )
    assert "set `only_reads: true` of printed" in told
    assert not (tmp_path / "begun").exists()
    assert source.beginning(place.ctx(), ["output"]).data == b"dump\n"
    assert (tmp_path / "begun").exists()


def test_a_command_that_only_reads_is_started_by_the_check_too(place, tmp_path):
    doubts, script = [], "yes | head -c 900000; sleep 600"
    source = TarSource(name="printed", host="here", at=["sh", "-c", script], only_reads=True)
    ctx = replace(place.ctx(), deadline=Deadline.after(6), doubt=doubts.append, verified=frozenset(["printed"]))
    assert source.beginning(ctx, ["output"]).data == (b"y\n" * LIMIT)[:LIMIT]
    assert doubts == []


def test_the_command_of_a_backup_is_started_once_for_all_steps_and_not_before_a_verification(place, tmp_path):
    source = TarSource(name="printed", host="here", at=["sh", "-c", f"echo begun >> {tmp_path}/begun; echo dump"])
    first = place.ctx()
    assert source.beginning(replace(first, verified=frozenset(["printed"])), ["output"]).data == b""
    assert not (tmp_path / "begun").exists()
    for ctx in (first, replace(first, step="restore.2")):
        assert source.beginning(ctx, ["output"]).data == b"dump\n"
    assert (tmp_path / "begun").read_text() == "begun\n"


def test_backups_that_cannot_be_listed_are_a_doubt_unless_a_step_may_make_them(place, tmp_path):
    doubts = []
    source = TarSource(name="nightly", host="here", at=str(tmp_path / "none"))
    ctx = replace(place.ctx(), doubt=doubts.append)
    assert source.candidates(replace(ctx, changed=True)) == []
    assert doubts == []
    assert source.candidates(ctx) == []
    (told,) = doubts
    assert told.startswith("the backup of nightly that the drill uses: no backups can be read from")
    assert "Correct " in told
    source.candidates(replace(ctx, no_backups="Nobody takes them here."))
    assert doubts[1].endswith(". Nobody takes them here.")
    assert "Correct " not in doubts[1]


def test_an_empty_place_is_a_doubt_also_when_an_earlier_step_selects_the_backup(place, tmp_path):
    doubts = []
    source = TarSource(name="nightly", host="here", at=str(tmp_path), pattern="*.tar").selecting(None)
    assert source.candidates(replace(place.ctx(), doubt=doubts.append)) == []
    (told,) = doubts
    assert "nightly does not have the wanted backup" in told
