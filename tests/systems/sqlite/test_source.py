"""Copies of real SQLite databases: intact ones restore without a finding, and each kind of damage has its own."""

import os
import shutil
import sqlite3
import struct

import pytest

from drillbook.errors import CouldNotVerify, NotReady, StepFailed
from drillbook.systems.sqlite.source import moment_of
from tests.artefacts import exact
from tests.systems.estate import codes
from tests.systems.sqlite.artefacts import CORPORA, DAMAGE, LOGS, PAGE, ROWS, Shop, estate, flip

(CORPUS,) = CORPORA


@pytest.fixture
def shop(tmp_path):
    made = Shop(tmp_path)
    yield made
    made.close()


def fails(place, code, text=""):
    """Assert that check and restore report exactly this finding, and that the sandbox is removed."""
    for action in (lambda: place.run("backup.check", service="shop"), lambda: place.restore("shop", "copy")):
        with pytest.raises(StepFailed) as failure:
            action()
        assert codes(failure) == [code], failure.value.findings
        assert text in failure.value.findings[0].measured
    place.remove("shop", "copy")
    assert not place.folder("copy").exists()


TAKEN = {"backup": Shop.backup, "VACUUM INTO": Shop.vacuum, "plain copy with its log": Shop.copy}


@pytest.mark.parametrize("way", TAKEN)
def test_a_whole_copy_has_no_finding_and_restores(shop, way):
    shop.add(100)
    path = TAKEN[way](shop)
    before = {file.name: file.read_bytes() for file in shop.copies.iterdir()}
    place = estate(shop, max_age="1h", tables=["purchase"], clock="purchase.at")
    assert place.run("backup.list", service="shop")["count"] == 1
    checked = place.run("backup.check", service="shop")
    assert checked["tables"] == {"customer": ROWS + 100, "purchase": ROWS + 100}
    assert checked["newest_row"]["age_s"] < 600
    assert checked["frames"] > 0 or way != "plain copy with its log"
    assert ("was not copied" in " ".join(checked["not_covered"])) is (way == "backup")
    assert {file.name: file.read_bytes() for file in shop.copies.iterdir()} == before  # the copy was not opened there
    facts = place.restore("shop", "copy")
    assert facts["bytes"] == sum(map(len, before.values()))
    with sqlite3.connect(place.folder("copy") / "data" / path.name) as restored:
        assert restored.execute("SELECT count(*) FROM purchase").fetchone() == (ROWS + 100,)
    restored.close()
    place.remove("shop", "copy")
    assert list((place.root / "scratch").rglob("sqlite-*")) == []


def printed(shop, **source):
    """Estate whose source prints the copy of the shop with a command."""
    return estate(shop, at=["cat", str(shop.backup())], **source)


def test_max_age_of_a_printed_copy_is_judged_only_where_its_clock_is_read(shop):
    place = printed(shop, max_age="1h", clock="purchase.at")
    with pytest.raises(NotReady, match="`max_age` of shop cannot be judged") as refused:
        place.action("backup.list", service="shop").ready(place.ctx())
    assert "use `backup.check`" in refused.value.hint
    place.action("backup.check", service="shop").ready(place.ctx())
    assert place.run("backup.check", service="shop")["newest_row"]["age_s"] < 600


@pytest.mark.parametrize("action", ["backup.list", "backup.check"])
def test_no_clock_judges_the_schedule_of_a_printed_copy(shop, action):
    place = printed(shop, every="1h", clock="purchase.at")
    with pytest.raises(NotReady, match="`every` of shop cannot be judged"):
        place.action(action, service="shop").ready(place.ctx())


@pytest.mark.parametrize("by_command", [True, False])
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("DELETE FROM purchase", "has no value"),
        ("UPDATE purchase SET at = 'last Tuesday'", "is not a time in the newest row"),
        ("ALTER TABLE purchase RENAME COLUMN at TO written", "is not a column of the copy"),
    ],
)
def test_a_clock_without_a_time_is_no_pass(shop, change, said, by_command):
    shop.session.execute(change)
    copy = str(shop.backup())
    place = estate(shop, at=["cat", copy] if by_command else copy, max_age="1h", clock="purchase.at")
    for act in (lambda: place.run("backup.check", service="shop"), lambda: place.restore("shop", "copy")):
        with pytest.raises(CouldNotVerify, match=f"`max_age` of shop cannot be judged: purchase.at of .* {said}"):
            act()
    place.remove("shop", "copy")


def test_a_copy_in_rollback_mode_with_a_hot_journal_is_rolled_back(tmp_path):
    shop = Shop(tmp_path, mode="delete")
    shop.session.execute("PRAGMA cache_size=5")
    shop.session.execute("BEGIN")
    shop.session.execute("UPDATE purchase SET note = 'half of a transaction'")
    shutil.copy2(shop.path, shop.copies / "shop.db")
    shutil.copy2(f"{shop.path}-journal", shop.copies / "shop.db-journal")
    shop.session.execute("ROLLBACK")
    shop.close()
    place = estate(shop)
    place.run("backup.check", service="shop")
    place.restore("shop", "copy")
    with sqlite3.connect(place.folder("copy") / "data" / "shop.db") as restored:
        query = "SELECT count(*) FROM purchase WHERE note = 'half of a transaction'"
        assert restored.execute(query).fetchone() == (0,)
    restored.close()
    place.remove("shop", "copy")


def test_old_frames_after_a_checkpoint_are_no_damage(shop):
    shop.add(500)
    shop.session.execute("PRAGMA wal_checkpoint(RESTART)")
    shop.add(1)
    shop.copy()
    checked = estate(shop).run("backup.check", service="shop")
    assert checked["tables"]["purchase"] == ROWS + 501
    assert checked["frames"] * PAGE < (shop.copies / "shop.db-wal").stat().st_size / 2


@pytest.mark.parametrize("artefact", [*CORPUS.parameters(), *CORPUS.whole()])
def test_each_copy_has_exactly_its_findings(tmp_path, artefact):
    place = artefact.lay(tmp_path, tmp_path)
    exact(place, artefact)
    if not {"backup-shrunken", "backup-too-old"} & set(artefact.findings):
        assert place.found_by_restore() == list(artefact.findings)


@pytest.mark.parametrize("what", [what for what, (said, _) in DAMAGE.items() if said])
def test_a_damage_is_named(shop, what):
    said, damage = DAMAGE[what]
    damage(shop.backup())
    with pytest.raises(StepFailed) as failure:
        estate(shop).run("backup.check", service="shop")
    assert said in failure.value.findings[0].measured


@pytest.mark.parametrize("what", LOGS)
def test_a_torn_log_is_seen(shop, what):
    """SQLite itself opens the copy without an error, and the transactions after the gap are missing."""
    text, damage = LOGS[what]
    for _ in range(10):
        shop.add(20)
    damage(shop.copies / f"{shop.copy().name}-wal")
    session = sqlite3.connect(shutil.copytree(shop.copies, shop.folder / "tried") / "shop.db")
    assert session.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert session.execute("SELECT count(*) FROM purchase").fetchone()[0] < ROWS + 200
    session.close()
    fails(estate(shop), "backup-damaged", text)


def test_the_time_of_a_copy_with_a_log_is_that_of_the_log(shop):
    shop.add(1)
    path = shop.copy()
    os.utime(path, (1_700_000_000, 1_700_000_000))
    os.utime(f"{path}-wal", (1_800_000_000, 1_700_000_100))
    [backup] = estate(shop).run("backup.list", service="shop")["backups"]
    assert backup["taken_at"] == "2023-11-14T22:15:00.000Z"


def test_a_copy_by_a_newer_sqlite_is_not_judged(shop):
    """The schema uses words that this library does not know."""
    path = shop.backup()
    with path.open("r+b") as file:
        file.seek(96)
        file.write(struct.pack(">I", 9_001_000))
    with sqlite3.connect(path) as session:
        session.execute("PRAGMA writable_schema=ON")
        session.execute("UPDATE sqlite_master SET sql = sql || ' FUTURE' WHERE name = 'purchase'")
    session.close()
    with path.open("r+b") as file:
        file.seek(96)
        file.write(struct.pack(">I", 9_001_000))
    with pytest.raises(CouldNotVerify, match=r"older than the SQLite that wrote shop\.db"):
        estate(shop).run("backup.check", service="shop")


def test_a_flipped_byte_of_a_value_is_said_to_be_unseen(shop):
    path = shop.backup()
    [note] = shop.session.execute("SELECT note FROM purchase WHERE id = 2001").fetchone()
    flip(path, path.read_bytes().index(note.encode()) + 30)
    checked = estate(shop).run("backup.check", service="shop")
    assert "changed bytes inside values" in checked["not_covered"][0]


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        ("2026-11-28 07:00:00", "2026-11-28T07:00:00+00:00"),
        ("2026-11-28T08:00:00+01:00", "2026-11-28T08:00:00+01:00"),
        (1795849200, "2026-11-28T07:00:00+00:00"),
        (1795849200.5, "2026-11-28T07:00:00.500000+00:00"),
        (1795849200_000, "2026-11-28T07:00:00+00:00"),
        (1795849200_000_000, "2026-11-28T07:00:00+00:00"),
        (2440588.0, "1970-01-01T12:00:00+00:00"),
        ("yesterday", None),
        (None, None),
        (1e18, None),
    ],
)
def test_the_forms_of_a_moment(value, moment):
    found = moment_of(value)
    assert (found and found.isoformat()) == moment


def test_a_truncated_copy_is_first_called_lost(shop):
    path = shop.backup()
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    with pytest.raises(StepFailed) as failure:
        estate(shop).run("backup.check", service="shop")
    assert failure.value.findings[0].remedy.startswith("Treat this backup as lost.")
