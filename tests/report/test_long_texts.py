"""The first part of a long text, such as a script, and the size of the whole."""

from __future__ import annotations

from drillbook.report import long_texts, markdown, run_record
from tests.report import samples


def test_a_script_is_shown_from_its_first_line_with_its_size():
    script = "copy() { # to others\n" + "two\n" * 200
    command = samples.command("sh", "-c", script, exit=1)
    step = samples.step("restore.1", "postgres.restore", status="failed", commands=(command,))
    page = markdown.render(samples.view(samples.result(), steps=(step,)))
    size = long_texts.size(run_record.command_line(command))
    assert f"`restore.1` command, exit 1, 0.04 s (the beginning of {size}; the HTML report has all of them):" in page
    assert "sh -c 'copy() { # to others\ntwo\n" in page
    assert page.count("\ntwo") == long_texts.FIRST_LINES - 1
    assert "two\n…\n" in page


def test_a_short_command_is_shown_whole():
    assert not long_texts.is_long("x" * 800)
    assert long_texts.is_long("x" * 801)
    assert long_texts.is_long("\n" * 20)


def test_a_script_of_which_an_older_version_recorded_only_the_end_says_so():
    end = "o others, and is not a folder of Drillbook\n" + "x" * 2000
    assert run_record.shell_line(("sh", "-c", f"...{end}")) == f"sh -c '… (the beginning is not recorded) …\n{end}'"
    assert run_record.shell_line(("echo", "...x")) == "echo ...x"
