"""Places of backup files: a folder of another host, an S3 prefix, a presigned URL, the output of a command."""

import contextlib
import http.server
import os
import tempfile
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from drillbook.errors import CommandTimedOut, StepFailed
from drillbook.hosts.local import LocalHost
from drillbook.sdk.backup_places import PIECE, HostFolder, Printed, matching, place_of
from drillbook.sdk.host import Target
from drillbook.systems.tar.source import TarSource
from tests.needs import missing, need
from tests.systems.estate import Estate, codes
from tests.systems.postgres.site import BUCKET, site
from tests.systems.refusals import refused_until


@pytest.fixture
def place(tmp_path):
    return Estate(tmp_path, services={"copy": {"kind": "folder", "sandbox": {}}}, backups={})


def content(path):
    return Path(path).read_bytes()


def test_a_file_of_the_same_host_is_not_copied(place, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a b.sql").write_text("x")
    found = place_of(place.ctx(), place.host, str(tmp_path))
    assert [(file.name, file.bytes) for file in matching(found.files(place.ctx()), "*.sql")] == [("deep/a b.sql", 1)]
    assert matching(found.files(place.ctx()), "other/*.sql") == []
    assert found.bring(place.ctx(), "deep/a b.sql", place.host, "/nowhere") == str(tmp_path / "deep" / "a b.sql")
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "long").write_bytes(bytes(range(256)) * 10)
    begun = found.beginnings(place.ctx(), ["deep/a b.sql", "empty", "long", "gone"], 300)
    assert begun == {"deep/a b.sql": b"x", "empty": b"", "long": (bytes(range(256)) * 2)[:300], "gone": b""}


class Nobody(LocalHost):
    """Host on which the commands run as another user."""

    def run(self, argv, **options):
        return super().run(("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *argv), **options)


@pytest.mark.parametrize(
    ("name", "mode", "said", "remedy"),
    [
        (
            "none/dumps",
            0o755,
            "there is no folder and no file at this path",
            "Correct `backups.nightly.at` (inventory/shop.yml:4).",
        ),
        (
            "none/dumps",
            0o700,
            "the user may not read {0}",
            "Give the user the right to read {0}, or correct `backups.nightly.at`",
        ),
        (
            "dumps",
            0o700,
            "the user may not read {0}",
            "Give the user the right to read {0}, or correct `backups.nightly.at`",
        ),
        ("dumps/shop.dump", 0o700, "the user may not read {0}", "Give the user the right"),
        ("", 0o711, "the user may not read {0}", "Give the user the right"),
        ("dumps/shop.dump/none", 0o755, "there is no folder and no file at this path", "Correct `backups.nightly.at`"),
        ("pipe", 0o755, "there is no folder and no file at this path", "Correct `backups.nightly.at`"),
    ],
)
def test_a_missing_place_is_told_from_one_without_rights(place, name, mode, said, remedy):
    need("setpriv")
    if os.geteuid():
        missing("only root can become another user")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as outer:
        (Path(outer) / "dumps").mkdir()
        (Path(outer) / "dumps" / "shop.dump").write_bytes(b"dump")
        os.mkfifo(Path(outer) / "pipe", 0o600)
        Path(outer).chmod(mode)
        host = Nobody(target=Target(name="here", local=True))
        with pytest.raises(StepFailed) as failure:
            place_of(place.ctx(), host, f"{outer}/{name}".rstrip("/"), "`backups.nightly.at` (inventory/shop.yml:4)").files(
                place.ctx()
            )
        [found] = failure.value.findings
        assert (found.code, found.measured) == ("backup-missing", said.format(outer))
        assert found.remedy.startswith(remedy.format(outer))


@pytest.mark.parametrize("name", ["shop.dump", "-shop 1.dump"])
def test_one_file_is_a_place(place, tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"dump")
    (tmp_path / "other.dump").write_bytes(b"other")
    found = place_of(place.ctx(), place.host, str(path))
    assert [(file.name, file.bytes) for file in found.files(place.ctx())] == [(name, 4)]
    assert found.bring(place.ctx(), name, place.host, "/nowhere") == str(path)
    assert found.beginnings(place.ctx(), [name], 2) == {name: b"du"}
    (tmp_path / "here").mkdir()
    other = HostFolder(LocalHost(target=Target(name="other", local=True)), str(path))
    assert content(other.bring(place.ctx(), name, place.host, str(tmp_path / "here"))) == b"dump"


def test_a_link_to_the_newest_file_is_a_place(place, tmp_path):
    (tmp_path / "monday.dump").write_bytes(b"dump")
    (tmp_path / "latest").symlink_to("monday.dump")
    found = place_of(place.ctx(), place.host, str(tmp_path / "latest"))
    assert [(file.name, file.bytes) for file in found.files(place.ctx())] == [("latest", 4)]
    assert content(found.bring(place.ctx(), "latest", place.host, "/nowhere")) == b"dump"


def test_a_folder_that_holds_a_file_of_its_own_name(place, tmp_path):
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "shop").write_bytes(b"dump")
    found = place_of(place.ctx(), place.host, str(tmp_path / "shop"))
    assert found.bring(place.ctx(), "shop", place.host, "/nowhere") == str(tmp_path / "shop" / "shop")


@pytest.mark.parametrize("size", [0, 1, PIECE, PIECE + 1])
def test_a_file_of_another_host_comes_in_pieces(place, tmp_path, size):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "dump").write_bytes(data := os.urandom(size))
    other = LocalHost(target=Target(name="other", local=True))
    (tmp_path / "here").mkdir()
    path = HostFolder(other, str(tmp_path / "there")).bring(place.ctx(), "dump", place.host, str(tmp_path / "here"))
    assert path == str(tmp_path / "here" / "dump")
    assert content(path) == data


def test_a_prefix_of_a_bucket(tmp_path):
    data = os.urandom(100_000)
    with site(tmp_path / "site") as made:
        made.s3().put_object(Bucket=BUCKET, Key="nightly/a.dump", Body=data)
        ctx = made.context()
        found = place_of(ctx, made.host, f"s3://{BUCKET}/nightly/")
        (file,) = found.files(ctx)
        assert (file.name, file.bytes) == ("a.dump", len(data))
        assert abs(file.modified.timestamp() - time.time()) < 1800, "no half hour of a time zone"
        assert content(found.bring(ctx, "a.dump", made.host, str(tmp_path))) == data
        for wrong in ("daily/", "nightly/a.dump/", "Nightly/", "nightly//"):
            assert place_of(ctx, made.host, f"s3://{BUCKET}/{wrong}").files(ctx) == [], wrong
        beginning = place_of(ctx, made.host, f"s3://{BUCKET}/night").files(ctx)
        assert [file.name for file in beginning] == ["ly/a.dump"], "without a slash it is the beginning of the keys"
        made.s3().put_object(Bucket=BUCKET, Key="nightly/empty", Body=b"")
        begun = found.beginnings(ctx, ["a.dump", "empty", "gone"], 300)
        assert begun == {"a.dump": data[:300], "empty": b"", "gone": b""}
        with pytest.raises(StepFailed) as failure:
            found.bring(ctx, "gone.dump", made.host, str(tmp_path))
        assert codes(failure) == ["backup-missing"]


@contextlib.contextmanager
def served(folder):
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_url(place, tmp_path):
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / "a.dump").write_bytes(data := os.urandom(50_000))
    os.utime(tmp_path / "web" / "a.dump", (1_700_000_000, 1_700_000_000))
    with served(tmp_path / "web") as url:
        found = place_of(place.ctx(), place.host, f"{url}/a.dump?signature=secret")
        (file,) = found.files(place.ctx())
        assert (file.name, file.bytes, file.modified.timestamp()) == ("a.dump", len(data), 1_700_000_000)
        assert content(found.bring(place.ctx(), "a.dump", place.host, str(tmp_path))) == data
        with pytest.raises(StepFailed):
            place_of(place.ctx(), place.host, f"{url}/gone").files(place.ctx())


def test_the_output_of_a_command_stays_on_its_host(place, tmp_path):
    source = TarSource(name="printed", host="here", at=["printf", "x"])
    copy, ctx = place.inventory.services["copy"], place.ctx()
    hosts = [LocalHost("other", target=Target(name="other", local=True)), place.host]
    ctx = replace(ctx, services={**ctx.services, "printed": source}, host_named=lambda name: place.host)
    said = "the backup command runs on here, but the restore would run on other"
    refused_until(lambda: source.ready_sandbox(replace(ctx, host=hosts[0]), copy), said, lambda: hosts.pop(0))


def test_the_output_of_a_command(place, tmp_path):
    found = place_of(place.ctx(), place.host, ("sh", "-c", "printf backup"))
    assert isinstance(found, Printed)
    (file,) = found.files(place.ctx())
    assert content(found.bring(place.ctx(), file.name, place.host, str(tmp_path))) == b"backup"


@pytest.mark.parametrize("at", ["backups", "ftp://host/x", "file:///x"])
def test_what_is_no_place(place, at):
    with pytest.raises(ValueError, match="is not a location of backups"):
        place_of(place.ctx(), place.host, at)


def test_a_deadline_holds_while_a_file_comes(place, tmp_path):
    ctx = place.ctx(seconds=0.5)
    with pytest.raises(CommandTimedOut):
        place_of(ctx, place.host, ("sleep", "60")).bring(ctx, "output", place.host, str(tmp_path))
