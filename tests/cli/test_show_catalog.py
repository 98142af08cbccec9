"""Output of the task `catalog` on a narrow terminal."""

import json

from drillbook.cli import console, show_catalog


def test_no_word_of_the_last_sentence_is_broken(monkeypatch, capsys):
    monkeypatch.setattr(console, "PIPE_WIDTH", 60)
    show_catalog.catalog("", as_json=False)
    last = capsys.readouterr().out.partition("copies it into a project")[2]
    assert max(map(len, last.splitlines())) <= 60
    assert " ".join(last.split()).endswith("may take longer or shorter.")


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
    (newest,) = [line for line in told.splitlines() if line.startswith("restore-newest ")]
    assert newest.endswith("22.0 s last run")
    (other,) = [line for line in told.splitlines() if line.startswith("quarterly (suite)")]
    assert other.endswith("about 1 min")
    assert "measured on a running lab with 2 cores" in " ".join(told.split())


def test_an_order_of_size_is_not_off_by_more_than_a_half():
    for measured in (4.4, 6.9, 8.7, 23.5, 50.7, 79.1, 103.2, 236.1, 300.8):
        number, unit = show_catalog.about(measured).removeprefix("about ").split()
        assert 1 / 1.5 <= int(number) * {"s": 1, "min": 60}[unit] / measured <= 1.5
