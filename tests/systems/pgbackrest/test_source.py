"""pgBackRest repositories: intact ones restore to any moment, and a restored server has no connection out of the
sandbox.
"""

import shutil
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta, timezone
from types import SimpleNamespace

import psycopg
import pytest

from drillbook.errors import NotReady, StepFailed
from drillbook.sdk.sandbox import Sandbox
from tests.systems.estate import codes
from tests.systems.pgbackrest.team import PORT, digest, estate, team
from tests.systems.postgres.site import secret


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Team with a full, a differential and an incremental backup, and rows before and after each of them."""
    with team(tmp_path_factory.mktemp("shop") / "team", **{"repo1-bundle": "y"}) as made:
        times = {1: made.write(1)}
        labels = [made.backup("full")]
        for row, kind in ((2, "diff"), (3, "incr")):
            times[row] = made.write(row)
            labels.append(made.backup(kind))
        times |= {row: made.write(row) for row in (4, 5)}
        made.archived()
        times |= {row: made.write(row) for row in (6, 7)}
        made.archived()
        yield SimpleNamespace(team=made, labels=labels, times=times, repository=made.repository)


@pytest.fixture
def place(tmp_path, shop):
    """Estate with the team's own repository; its sandbox is removed after the test."""
    made = estate(tmp_path, shop.team, shop.repository)
    yield made
    made.remove("wal", "copy")


def rows(place, box="copy"):
    """Rows in the sandbox, and the assertion that they come from it."""
    folder = place.folder(box)
    with psycopg.connect(host=str(folder), port=PORT, user="postgres", dbname="postgres") as session:
        assert session.execute("SHOW data_directory").fetchone() == (f"{folder}/data",)
        return [row for (row,) in session.execute("SELECT id FROM seen ORDER BY id")]


def ask(place, statement):
    with psycopg.connect(host=str(place.folder("copy")), port=PORT, user="postgres", dbname="postgres") as session:
        return session.execute(statement).fetchone()[0]


def test_a_whole_repository_lists_its_backups_with_the_moment_of_the_last_commit(place, shop):
    facts = place.run("backup.list", service="wal")
    assert [backup["id"] for backup in facts["backups"]] == list(reversed(shop.labels))
    assert [backup["type"] for backup in facts["backups"]] == ["incr", "diff", "full"]
    newest = facts["newest"]
    assert "last commit" in newest["basis"]
    assert newest["error_s"] == 0.0
    assert newest["until"][:23] == shop.times[7].astimezone(tz=UTC).isoformat()[:23]
    measured = place.run("backup.measure", service="wal")
    assert measured["newest_moment"] == newest["until"]


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_whole_backup_has_no_finding(place, shop, position):
    checked = place.run("backup.check", service="wal", at=shop.labels[position])
    assert checked["backup"]["id"] == shop.labels[position]
    assert "the backup is of the cluster of database" in checked["covered"]
    assert any("digest in its name" in one for one in checked["covered"])
    assert checked["not_covered"] == [
        "whether a server starts from the backup and reaches a consistent state",
        "whether rows were already missing or wrong when the backup was taken",
    ]
    assert checked["wal_segments"] >= 3


def test_the_latest_is_everything_that_is_archived_and_nothing_of_the_team_is_written(place, shop):
    before, config = digest(shop.repository), digest(shop.team.folder / "lock")
    facts = place.restore("wal", "copy")
    assert rows(place) == [1, 2, 3, 4, 5, 6, 7]
    assert ask(place, "SHOW archive_mode") == "off"
    assert ask(place, "SELECT pg_is_in_recovery()") is False
    ask(place, "SELECT pg_switch_wal()::text")
    assert facts["replayed_bytes"] > 0
    assert facts["wal_segments"] >= 3
    assert set(facts["seconds"]) == {"sandbox", "files", "fetch_wal", "replay", "total"}
    assert facts["last_commit"][:23] == shop.times[7].astimezone(tz=UTC).isoformat()[:23]
    assert facts["system_identifier"] == shop.team.sql("SELECT system_identifier::text FROM pg_control_system()")[0][0]
    assert (digest(shop.repository), digest(shop.team.folder / "lock")) == (before, config)


@pytest.mark.parametrize(("position", "present"), [(0, [1]), (1, [1, 2]), (2, [1, 2, 3])])
def test_a_backup_by_its_name_is_restored_to_its_own_end(place, shop, position, present):
    facts = place.restore("wal", "copy", at=shop.labels[position])
    assert rows(place) == present
    assert facts["backup"]["id"] == shop.labels[position]


@pytest.mark.parametrize("hours", [0, 9, -5])
@pytest.mark.parametrize(("before", "after"), [(4, 5), (6, 7)])
def test_a_moment_in_any_time_zone_separates_the_rows_on_its_two_sides(place, shop, before, after, hours):
    between = shop.times[before] + (shop.times[after] - shop.times[before]) / 2
    facts = place.restore("wal", "copy", at=between.astimezone(timezone(timedelta(hours=hours))).isoformat())
    assert rows(place) == list(range(1, after))
    assert facts["backup"]["id"] == shop.labels[2]


@pytest.mark.parametrize(("inclusive", "last"), [(True, 4), (False, 3)])
def test_what_was_committed_at_the_very_moment_is_restored_unless_it_is_exclusive(tmp_path, shop, inclusive, last):
    place = estate(tmp_path, shop.team, shop.repository, inclusive=inclusive)
    try:
        place.restore("wal", "copy", at=shop.times[4].isoformat())
        assert rows(place) == list(range(1, last + 1))
    finally:
        place.remove("wal", "copy")


def promoted(made):
    """Let the team's server continue on a new timeline, as after a failover."""
    made.stop()
    (made.data / "standby.signal").touch()
    made.start()
    made.control("promote")


@pytest.fixture(scope="module")
def failed_over(tmp_path_factory):
    """Team whose server was promoted between two rows; both are archived, one on each timeline."""
    with team(tmp_path_factory.mktemp("failover") / "team") as made:
        made.write(1)
        labels = [made.backup("full")]
        times = {2: made.write(2)}
        made.archived()
        promoted(made)
        times |= {3: made.write(3), 4: made.write(4)}
        made.archived()
        yield SimpleNamespace(team=made, labels=labels, times=times, repository=made.repository)


@pytest.fixture
def after(tmp_path, failed_over):
    made = estate(tmp_path, failed_over.team, failed_over.repository)
    yield made
    made.remove("wal", "copy")


def test_a_recovery_follows_the_newest_timeline(after):
    facts = after.restore("wal", "copy")
    assert rows(after) == [1, 2, 3, 4]
    assert facts["timeline"] == 2
    assert after.run("backup.check", service="wal")["wal_segments"] >= 3


def test_a_moment_after_a_failover_separates_the_rows_of_the_new_timeline(after, failed_over):
    times = failed_over.times
    after.restore("wal", "copy", at=(times[3] + (times[4] - times[3]) / 2).isoformat())
    assert rows(after) == [1, 2, 3]


def test_a_backup_before_a_failover_is_restored_to_its_own_end(after, failed_over):
    after.restore("wal", "copy", at=failed_over.labels[0])
    assert rows(after) == [1]


def test_a_missing_history_of_a_timeline_is_a_gap(tmp_path, failed_over):
    copied = failed_over.team.copy(tmp_path)
    next(copied.rglob("00000002.history")).unlink()
    place = estate(tmp_path, failed_over.team, copied)
    with pytest.raises(StepFailed) as failure:
        place.run("backup.check", service="wal", at=failed_over.labels[0])
    assert codes(failure) == ["wal-gap"]
    assert "00000002.history is missing" in failure.value.findings[0].measured


def test_settings_of_a_repository_host_lead_nowhere_out_of_the_sandbox(tmp_path, tmp_path_factory):
    """A tablespace, a link of pg_wal, another host and a connection to the primary: a restore uses none of them."""
    with team(tmp_path_factory.mktemp("far") / "team") as made:
        space, elsewhere = made.folder / "space", made.folder / "elsewhere"
        for folder in (space, elsewhere):
            folder.mkdir(mode=0o700)
        made.sql(f"CREATE TABLESPACE fast LOCATION '{space}'", "CREATE TABLE kept (id int) TABLESPACE fast")
        made.sql("INSERT INTO kept VALUES (7)")
        made.backup("full")
        made.archived()
        copied = made.copy(tmp_path)
        with (tmp_path / "copied.conf").open("a") as file:
            file.write(
                "pg1-host=db-1.example\npg2-host=db-2.example\npg2-path=/nowhere\nlink-all=y\n"
                f"link-map=pg_wal={elsewhere}\ntablespace-map=fast={elsewhere}\n"
                f"recovery-option=primary_conninfo=host=db-1.example\narchive-async=y\nspool-path={elsewhere}\n"
            )
        before = digest(space), digest(elsewhere), digest(copied)
        place = estate(tmp_path, made, copied)
        try:
            facts = place.restore("wal", "copy")
            assert ask(place, "SELECT id FROM kept") == 7
            assert ask(place, "SHOW primary_conninfo") == ""
            location = ask(place, "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE spcname = 'fast'")
            assert location.startswith(str(place.folder("copy")))
            assert facts["bytes"] > 0
        finally:
            place.remove("wal", "copy")
        assert (digest(space), digest(elsewhere), digest(copied)) == before
        assert not place.folder("copy").exists()


def test_a_copy_that_does_not_fit_is_refused_before_it_is_restored(tmp_path, shop):
    place = estate(tmp_path, shop.team, shop.repository, sandbox={"disk": "20MB"})
    try:
        with pytest.raises(StepFailed) as failure:
            place.restore("wal", "copy")
        assert codes(failure) == ["sandbox-too-small"]
        assert not (place.folder("copy") / "data").exists()
    finally:
        place.remove("wal", "copy")


def test_options_of_the_inventory_override_the_file_and_secrets_are_in_no_command_line(tmp_path, shop):
    hidden = secret("hidden-phrase", "TEST_CIPHER_PASS")
    program = estate(tmp_path, shop.team, shop.repository, options={"repo1-cipher-pass": hidden})
    source = program.inventory.services["wal"]
    assert list(program.inventory.secrets_of(["wal"]).values()) == [hidden]
    made = source.program(program.ctx(), program.host, run_as="")
    output = made.run("sh", "-c", 'tr "\\0" " " < /proc/$$/cmdline; echo; env')
    command, _, environment = output.text.partition("\n")
    assert "hidden-phrase" not in command
    assert "PGBACKREST_REPO1_CIPHER_PASS=hidden-phrase" in environment


@pytest.mark.parametrize("options", [{"Repo1-Path": "/x"}, {"repo1 path": "/x"}, {"repo1-path": "/x\n/y"}])
def test_an_option_that_is_none_is_refused(tmp_path, shop, options):
    with pytest.raises(ValueError, match=r"is not an option|line break"):
        estate(tmp_path, shop.team, shop.repository, options=options)


def test_a_stanza_that_a_step_of_the_drill_makes_need_not_be_there_before(tmp_path, shop):
    repository = shop.team.copy(tmp_path)
    for part in ("backup", "archive"):
        shutil.rmtree(repository / part)
    place = estate(tmp_path, shop.team, repository)
    place.action("backup.check", service="wal").ready(place.ctx())
    place.action("backup.restore", service="copy", **{"from": "wal"}).ready(place.ctx())
    with pytest.raises(StepFailed) as failure:
        place.action("backup.check", service="wal").run(place.ctx())
    assert codes(failure) == ["backup-missing"]


def test_a_host_without_pgbackrest_is_not_ready(place, monkeypatch):
    monkeypatch.setenv("PATH", str(place.root))
    for tool in ("sh", "sed", "cat"):
        (place.root / tool).symlink_to(shutil.which(tool, path="/usr/bin:/bin"))
    with pytest.raises(NotReady, match="has no pgbackrest"):
        place.action("backup.list", service="wal").ready(place.ctx())


def test_a_tool_that_restores_ends_with_its_sandbox(place):
    """Without the controller: the host's own command ends all processes that still write there."""
    box = Sandbox.of(place.ctx(), place.inventory.services["copy"])
    box.make()
    source = place.inventory.services["wal"]
    working = source._in_sandbox(place.ctx(), box)
    with ThreadPoolExecutor(1) as pool:
        output = pool.submit(working.run, "sh", "-c", f"touch {box.folder}/begun; exec sleep 600")
        while not (place.folder("copy") / "begun").exists():
            assert not output.done()
        place.remove("wal", "copy")
        assert output.result(timeout=30).signal == "KILL"
    assert not place.folder("copy").exists()


def test_gaps_between_backups_are_seen_though_the_log_leads_on(tmp_path, shop):
    place = estate(tmp_path, shop.team, shop.repository, every="1ms", max_age="1d")
    with pytest.raises(StepFailed) as failure:
        place.run("backup.list", service="wal")
    found = {finding.title for finding in failure.value.findings if finding.code == "backup-gap"}
    assert len(found) >= 2
    assert "backup-too-old" not in codes(failure)


def test_a_backup_of_a_stopped_server_needs_no_wal(tmp_path, tmp_path_factory):
    with team(tmp_path_factory.mktemp("stopped") / "team") as made:
        made.write(1)
        made.control("stop", "-m", "fast")
        made.run("--type=full", "--no-online", "backup")
        place = estate(tmp_path, made, made.repository)
        try:
            checked = place.run("backup.check", service="wal")
            assert "needs no WAL" in " ".join(checked["not_covered"])
            facts = place.restore("wal", "copy")
            assert rows(place) == [1]
            assert facts["wal_segments"] == 0
        finally:
            place.remove("wal", "copy")


def test_a_whole_rehearsal_writes_neither_to_the_repository_nor_to_the_primary(tmp_path, shop):
    """The primary is stopped, so that any change in its data directory comes from the rehearsal."""
    made = estate(tmp_path, shop.team, shop.repository)
    shop.team.stop()
    try:
        before = digest(shop.repository), digest(shop.team.data), digest(shop.team.folder / "lock")
        for name in ("backup.list", "backup.check", "backup.measure"):
            made.run(name, service="wal")
        made.restore("wal", "copy")
        assert rows(made)
        with psycopg.connect(
            host=str(made.folder("copy")), port=PORT, user="postgres", dbname="postgres", autocommit=True
        ) as copy:
            copy.execute("INSERT INTO seen VALUES (1000)")
            copy.execute("SELECT pg_switch_wal()")
            copy.execute("CHECKPOINT")
        made.remove("wal", "copy")
        assert (digest(shop.repository), digest(shop.team.data), digest(shop.team.folder / "lock")) == before
    finally:
        shop.team.start()
