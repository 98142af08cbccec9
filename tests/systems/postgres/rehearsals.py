"""A shelf of dumps of one server, and sandboxes into which they are restored."""

from pathlib import Path

import pytest

from drillbook.systems.postgres import content
from drillbook.systems.postgres.connection import connected
from drillbook.systems.postgres.service import Admin
from drillbook.systems.postgres.source import PgDumpSource
from tests.needs import need
from tests.systems.postgres import dumps
from tests.systems.postgres.dumps import Shelf


@pytest.fixture(scope="module")
def shelf(place, tmp_path_factory):
    return Shelf(place, dumps.filled(place, "production", tmp_path_factory.mktemp("shelf") / "whole"))


class Rehearsal:
    """Folder of dumps, and a sandbox for them; restores into it are undone at the end."""

    def __init__(self, shelf: Shelf, folder: Path, **fields) -> None:
        self.shelf, self.folder = shelf, folder
        fields = {"database": "shop", "admin": Admin(user="postgres"), "bin": shelf.source.cluster.service.bin, **fields}
        sandbox = {"folder": str(shelf.place.folder / "box"), "data_may_leave": True}
        self.copy = shelf.place.place("copy", password=None, sandbox=sandbox, **fields).service
        self.ctx = shelf.place.context(step="restore.1")

    def planned(self, **fields):
        bin_ = self.shelf.source.cluster.service.bin
        self.shelf.place.extra["nightly"] = PgDumpSource(
            name="nightly", host="db-1", at=str(self.folder), bin=bin_, **fields
        )
        self.ctx = self.shelf.place.context(step="restore.1")
        return self.shelf.place.action("backup.restore", service="copy", **{"from": "nightly"})

    def restore(self, **fields):
        action = self.planned(**fields)
        action.ready(self.ctx)
        return action.run(self.ctx)

    def ask(self, query: str):
        with connected(self.ctx, self.copy) as session:
            return session.execute(query).fetchall()

    def digests(self, name: str):
        with content.snapshot(self.ctx, self.shelf.place.clusters[name].service) as snap:
            return {table.name: (table.rows, table.digest) for table in content.tables(snap, content.relations(snap))}

    def undone(self) -> None:
        action = self.shelf.place.action("backup.restore", service="copy", **{"from": "nightly"})
        for command in action.undo(self.ctx).commands:
            self.shelf.place.host.run(command, deadline=self.ctx.deadline).check()
        assert not action.active(self.ctx)

    def end(self) -> None:
        self.undone()
        del self.shelf.place.clusters["copy"]
        (self.shelf.place.folder / "copy").rmdir()


@pytest.fixture
def rehearsal(shelf, tmp_path):
    need("unshare")
    made = []

    def make(**fields) -> Rehearsal:
        made.append(Rehearsal(shelf, tmp_path, **fields))
        return made[0]

    yield make
    made[0].end()


OLD_SERVER = (15, "of version 15 is too old for the dump .*, which sets transaction_timeout")
OLD_PSQL = (13, r"does not know the command .restrict")
