"""Output of the task `catalog` on a terminal."""

import json
import re

import pytest

from drillbook.catalog import entries
from drillbook.cli import console, scaffold, show_catalog


@pytest.mark.parametrize(("kind", "width"), [("", 60), ("", 80), ("folder", 80)])
def test_no_line_is_broken_by_the_terminal_and_no_name_is_missing(monkeypatch, capsys, kind, width):
    monkeypatch.setattr(console, "PIPE_WIDTH", width)
    show_catalog.catalog(kind, as_json=False)
    said = capsys.readouterr().out
    lines = said.splitlines()
    assert max(map(len, lines)) <= width
    names = [entry.name for entry in entries.selected(kind)]
    assert all(sum(line.split()[:1] == [name] for line in lines) == 1 for name in names)
    assert " ".join(said.split()).count("may take more or less time.") == 1


def test_all_entries_are_short_and_one_kind_tells_what_each_needs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(console, "PIPE_WIDTH", 80)
    show_catalog.catalog("", as_json=False)
    said = capsys.readouterr().out
    assert len(said.splitlines()) <= 122
    assert [line for line in said.splitlines() if line in show_catalog.HEADS.values()] == [*show_catalog.HEADS.values()]
    assert "catalog --for KIND" in said
    show_catalog.catalog("folder", as_json=False)
    said = " ".join(capsys.readouterr().out.split())
    assert "breaks, then restores: postgres; also uses: folder, pg_dump, restic, s3" in said, "it breaks no folder"
    assert not any(f"breaks, then restores: {text}" in said for text in ("folder", "pg_dump")), "as the audit says"
    assert "init --with rehearse-archives" in said


def test_no_copy_of_a_drill_that_the_project_has_is_suggested(tmp_path, monkeypatch, capsys):
    (tmp_path / "drills").mkdir()
    monkeypatch.chdir(tmp_path)
    for name in ("cache-lost", "rehearse-cache"):
        show_catalog.catalog("redis", as_json=False)
        assert f"init --with {name}\n" in capsys.readouterr().out
        (tmp_path / "drills" / f"{name}.yml").write_text(f"drill: {name}\n")
    show_catalog.catalog("redis", as_json=False)
    assert "init --with rehearse-cache-log\n" in capsys.readouterr().out


def test_what_is_suggested_can_be_copied(tmp_path, monkeypatch, capsys):
    """A diagnosis tree of the same name as the kind is no drill, and a file of the project is never overwritten."""
    scaffold.init(tmp_path, names=["cache-lost", "rehearse-cache"])
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    show_catalog.catalog("redis", as_json=False)
    assert "init --with rehearse-cache-log\n" in capsys.readouterr().out
    own = tmp_path / entries.find("rehearse-cache-log").files[0]
    own.parent.mkdir(parents=True, exist_ok=True)
    own.write_text("drill: another-name\n")
    show_catalog.catalog("redis", as_json=False)
    (name,) = re.findall(r"init --with (\S+)\n", capsys.readouterr().out)
    assert entries.find(name).sort == "drill"
    assert scaffold.free(tmp_path, names=[name])
    (tmp_path / "inventory/lab.yml").write_text("environment: changed\n")
    show_catalog.catalog("redis", as_json=False)
    (name,) = re.findall(r"init --with (\S+)\n", capsys.readouterr().out)
    assert scaffold.free(tmp_path, names=[name]), "the project has an inventory of its own now, which no copy replaces"
    show_catalog.catalog("tcp", as_json=False)
    assert "init --with" not in capsys.readouterr().out, "no drill can be copied, and trees are here already"


def test_a_time_is_that_of_the_last_run_here_or_an_order_of_size_with_its_source(tmp_path, monkeypatch, capsys):
    (tmp_path / "drills").mkdir()
    for day, seconds, verdict in ((1, 30, "passed"), (2, 22, "passed"), (3, 9, "failed")):
        name = f"2026010{day}T100000.000Z-restore-newest-000{day}"
        folder = tmp_path / "reports" / name
        folder.mkdir(parents=True)
        (folder / "journal.jsonl").write_text("")
        result = {"drill": "restore-newest", "verdict": verdict, "exit": 0, "started": f"2026-01-0{day}T10:00:00Z"}
        (folder / "result.json").write_text(json.dumps(result | {"finished": f"2026-01-0{day}T10:00:{seconds:02}Z"}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(console, "PIPE_WIDTH", 100)
    show_catalog.catalog("", as_json=False)
    told = capsys.readouterr().out
    told = " ".join(told.split())
    assert told.partition(" restore-newest ")[2].partition(" (")[2].startswith("22.0 s last run)")
    assert "files and API (about 1 min, breaks, then restores)" in told
    assert "measured on a running lab with 2 cores" in told


def test_an_order_of_size_is_not_off_by_more_than_a_half():
    for measured in (4.4, 6.9, 8.7, 23.5, 50.7, 79.1, 103.2, 236.1, 300.8):
        number, unit = show_catalog.about(measured).removeprefix("about ").split()
        assert 1 / 1.5 <= int(number) * {"s": 1, "min": 60}[unit] / measured <= 1.5


def test_a_suite_that_never_ran_as_a_whole_has_the_times_of_its_drills_and_no_guess():
    suite = next(entry for entry in entries.entries() if entry.name == "quarterly")
    assert show_catalog._takes(suite, {}) == "about 1 min"
    known = dict.fromkeys(suite.drills[:-1], 18.0)
    assert show_catalog._takes(suite, known) == "not known as a whole; 6 of 7 drills: 1 min 48 s"
    assert show_catalog._takes(suite, {**known, "quarterly": 141.0}) == "2 min 21 s last run"
