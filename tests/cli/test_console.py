"""Output to the terminal: nothing stops a run, neither a reader that has gone nor a character that has no code."""

import io
import os
import re
from pathlib import Path

import pytest
from rich.console import Console
from rich.text import Text

from drillbook.cli.console import PIPE_WIDTH, Steady, console


def test_no_blanks_at_the_end_of_lines_in_a_log() -> None:
    plain = io.StringIO()
    Console(file=Steady(plain, trim=True), width=40).print("words   \n\n  more  ")  # type: ignore[arg-type]
    assert plain.getvalue() == "words\n\n  more\n"


def test_a_character_that_the_encoding_lacks_is_written_as_a_question_mark():
    plain = io.TextIOWrapper(io.BytesIO(), encoding="ascii", write_through=True)
    assert Steady(plain).write("caf\xe9\n") == 5
    assert plain.buffer.getvalue() == b"caf?\n"


def test_output_after_its_reader_has_gone_is_discarded():
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w", buffering=1) as pipe:
        steady = Steady(pipe)
        assert steady.write("nobody reads this\n") == 18
        assert os.fstat(pipe.fileno()).st_rdev == Path(os.devnull).stat().st_rdev, "Python can flush it at its end"


def test_a_closed_stream_is_no_terminal_and_takes_everything():
    closed = io.StringIO()
    closed.close()
    steady = Steady(closed)
    assert not steady.isatty()
    assert steady.write("text") == 4
    steady.flush()


class Screen(io.StringIO):
    def isatty(self):
        return True


SAYS = "would undo inject.1 network.cut on app-1.example.org: sh -c undo-it.sh db-1.example.org:5432; see `drillbook drill.recover 20261201T031122.000Z-quarterly --dry`"


@pytest.mark.parametrize("options", [{}, {"soft_wrap": True}])
@pytest.mark.parametrize("kind", [str, Text])
def test_a_line_on_a_terminal_is_broken_between_words(monkeypatch, options, kind):
    screen = Screen()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("COLUMNS", "80")
    console().print(kind(f"  {SAYS}"), **options, style="bold")
    lines = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue()).splitlines()
    assert len(lines) == 3
    assert max(map(len, lines)) <= 80
    assert all(line.startswith("  ") for line in lines)
    assert " ".join(line.strip() for line in lines) == SAYS
    assert lines[-1].startswith("  `drillbook drill.recover "), "a command is one word"


def test_a_question_keeps_its_line(monkeypatch):
    screen = Screen()
    monkeypatch.setattr("sys.stdout", screen)
    monkeypatch.setenv("COLUMNS", "20")
    console().print("a question with words? ", end="")
    assert screen.getvalue() == "a question with\nwords? "


def test_lines_that_go_into_a_file_have_a_fixed_width_and_no_command_is_cut(capsys):
    out = console()
    assert out.width == PIPE_WIDTH
    out.print("x" * 150, soft_wrap=True)
    assert capsys.readouterr().out == "x" * 150 + "\n"
