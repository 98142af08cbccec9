"""Output of the task `catalog` on a narrow terminal."""

from drillbook.cli import console, show_catalog


def test_no_word_of_the_last_sentence_is_broken(monkeypatch, capsys):
    monkeypatch.setattr(console, "PIPE_WIDTH", 60)
    show_catalog.catalog("", as_json=False)
    last = capsys.readouterr().out.partition("copies it into a project")[2]
    assert max(map(len, last.splitlines())) <= 60
    assert " ".join(last.split()).endswith("may take longer or shorter.")
