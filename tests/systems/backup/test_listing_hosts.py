"""Programs that list and fetch backups are checked on the host that starts them: that of the files, or that of the
source.
"""

import shutil
from dataclasses import replace

import pytest

from drillbook.hosts.local import LocalHost
from drillbook.sdk.host import Target
from drillbook.sdk.host_needs import BASE
from drillbook.sdk.programs import Programs
from drillbook.sdk.service import S3
from tests.systems.backup.test_refused import put
from tests.systems.estate import HERE, Estate
from tests.systems.ground import PLAIN, path_without
from tests.systems.postgres.site import secret
from tests.systems.refusals import refused_until

NAS = "nas"
KINDS = [
    {"kind": "pg_dump", "pattern": "*.dump"},
    {"kind": "redis_rdb", "pattern": "*.rdb", "program": shutil.which("true", path=PLAIN["PATH"])},
]
NAMES = [source["kind"] for source in KINDS]


class Own(LocalHost):
    """Host with only the programs of a folder."""

    def __init__(self, name, folder):
        super().__init__(name, target=Target(name=name, local=True))
        self.folder = folder

    def run(self, argv, **options):
        return super().run(("env", f"PATH={self.folder}", *argv), **options)


def two_hosts(tmp_path, source, at):
    """The host of a source and the host of its backups; the context for checks of the source on its host."""
    place = Estate(tmp_path, services={}, backups={"saved": {"at": at, **source}})
    hosts = {}
    for name in (HERE, NAS):
        folder = tmp_path / f"bin-{name}"
        path_without(folder)
        for program in (*BASE, "pg_restore"):
            put(folder, program, "exit 0" if program == "pg_restore" else "")
        hosts[name] = Own(name, folder)
    (tmp_path / "backups").mkdir()
    (tmp_path / "backups" / "shop.dump").write_bytes(b"PGDMP\1\17\0\4\10\1" + bytes(100))
    (tmp_path / "backups" / "shop.rdb").write_bytes(b"REDIS0011\xfa\x05ctime\xc2\x00\xf1\x53\x65" + bytes(100))
    return place, replace(place.ctx(), host=hosts[HERE], host_named=hosts.__getitem__)


def with_store(ctx):
    """Context whose inventory has the bucket `nightly`, in a store that does not answer."""
    keys = {"access_key": secret("key", "PLACE_KEY"), "secret_key": secret("key", "PLACE_SECRET")}
    store = S3(name="store", host=HERE, endpoint="http://127.0.0.1:1", bucket="nightly", **keys)
    return replace(ctx, services={**ctx.services, "store": store})


def asked_again(ctx):
    """Context without the cached answers of hosts, because a run checks each program of a host only once."""
    return replace(ctx, programs=Programs())


@pytest.mark.parametrize("source", KINDS, ids=NAMES)
@pytest.mark.parametrize("program", ["head", "od", "tr"])
def test_a_host_of_files_that_cannot_read_their_beginnings(tmp_path, source, program):
    place, ctx = two_hosts(tmp_path, source, f"sftp://{NAS}{tmp_path}/backups")
    folder = tmp_path / f"bin-{NAS}"
    (folder / program).unlink()
    for action in ("backup.list", "backup.check"):
        step = place.action(action, service="saved")
        said = f"nas has no {program}, needed to list or transfer the backup files"
        refused_until(lambda step=step: step.ready(asked_again(ctx)), said, lambda: put(folder, program, ""))
        (folder / program).unlink()


@pytest.mark.parametrize("source", KINDS, ids=NAMES)
def test_a_host_of_a_source_that_reads_no_beginnings(tmp_path, source):
    """The files are on another host, which reads their beginnings."""
    place, ctx = two_hosts(tmp_path, source, f"sftp://{NAS}{tmp_path}/backups")
    (tmp_path / f"bin-{HERE}" / "od").unlink()
    listing = place.action("backup.list", service="saved")
    listing.ready(ctx)
    assert listing.run(ctx)["count"] == 1


@pytest.mark.parametrize("source", KINDS, ids=NAMES)
def test_the_controller_reads_the_beginnings_of_objects(tmp_path, source):
    place, ctx = two_hosts(tmp_path, source, "s3://nightly/shop/")
    for program in ("head", "od", "tr"):
        (tmp_path / f"bin-{HERE}" / program).unlink()
    place.action("backup.list", service="saved").ready(with_store(ctx))


@pytest.mark.parametrize("source", KINDS, ids=NAMES)
def test_a_check_of_objects_needs_a_program_that_downloads_them(tmp_path, source):
    place, ctx = two_hosts(tmp_path, source, "s3://nightly/shop/")
    folder = tmp_path / f"bin-{HERE}"
    for program in ("curl", "python3"):
        (folder / program).unlink(missing_ok=True)
    place.action("backup.list", service="saved").ready(with_store(ctx))
    check, said = place.action("backup.check", service="saved"), "here needs curl or python3 to download the backup files"
    refused_until(lambda: check.ready(with_store(asked_again(ctx))), said, lambda: put(folder, "python3", ""))


@pytest.mark.parametrize("source", KINDS, ids=NAMES)
def test_a_check_of_files_of_another_host_needs_a_program_that_reads_them(tmp_path, source):
    place, ctx = two_hosts(tmp_path, source, f"sftp://{NAS}{tmp_path}/backups")
    folder = tmp_path / f"bin-{NAS}"
    (folder / "dd").unlink()
    check = place.action("backup.check", service="saved")
    refused_until(lambda: check.ready(asked_again(ctx)), "nas has no dd", lambda: put(folder, "dd", ""))


def test_times_in_names_need_no_beginnings(tmp_path):
    source = {"kind": "redis_rdb", "pattern": "*.rdb", "newest": "name"}
    place, ctx = two_hosts(tmp_path, source, str(tmp_path / "backups"))
    (tmp_path / f"bin-{HERE}" / "od").unlink()
    place.action("backup.list", service="saved").ready(ctx)


@pytest.mark.parametrize("form", ["folder", "stream"])
def test_a_list_of_streams_needs_less_than_a_list_of_folders(tmp_path, form):
    place, ctx = two_hosts(tmp_path, {"kind": "mariabackup", "form": form}, f"sftp://{NAS}{tmp_path}/backups")
    folder, listing = tmp_path / f"bin-{NAS}", place.action("backup.list", service="saved")
    (tmp_path / f"bin-{HERE}" / "du").unlink()
    (folder / "du").unlink()
    if form == "folder":
        refused_until(
            lambda: listing.ready(asked_again(ctx)),
            "nas has no du, needed to list or transfer the backup files",
            lambda: put(folder, "du", ""),
        )
    listing.ready(ctx)


FOLDERS = {"kind": "mariabackup", "form": "folder"}


@pytest.mark.parametrize("at", ["s3://nightly/shop/", ["cat", "/nowhere"], "https://store.example/shop"])
@pytest.mark.parametrize("action", ["backup.list", "backup.check"])
def test_folders_are_read_from_no_store_and_no_command(tmp_path, at, action):
    place, ctx = two_hosts(tmp_path, FOLDERS, at)
    given = place.inventory.services["saved"]
    folder = given.model_copy(update={"at": str(tmp_path / "backups")})
    places = [with_store(ctx), replace(ctx, services={**ctx.services, "saved": folder})]
    step = place.action(action, service="saved")
    said = "saved: with `form: folder`, backups must be in a folder on a host"
    refused_until(lambda: step.ready(places[0]), said, lambda: places.pop(0))


@pytest.mark.parametrize("by_secret", [False, True])
def test_folders_on_another_host_are_checked_only_there(tmp_path, by_secret):
    """A list of the backups needs nothing from the host of the source."""
    at = f"sftp://{NAS}{tmp_path}/backups"
    place, ctx = two_hosts(tmp_path, FOLDERS, at)
    if by_secret:
        source = place.inventory.services["saved"].model_copy(update={"at": secret(at, "PLACE_OF_FOLDERS")})
        ctx = replace(ctx, services={**ctx.services, "saved": source})
    place.action("backup.list", service="saved").ready(ctx)
    check, contexts = place.action("backup.check", service="saved"), [ctx, replace(ctx, host=ctx.host_named(NAS))]
    said = "the folders of saved are on nas, but a check would read them on here"
    refused_until(lambda: check.ready(asked_again(contexts[0])), said, lambda: contexts.pop(0))
