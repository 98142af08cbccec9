from __future__ import annotations

import base64
import hashlib
import html
import re

from drillbook.report import index, remarks
from drillbook.report.pages import breakable, commands, run_names, signs, whole_dates
from tests.report import samples


def test_only_parts_in_backticks_are_commands_and_all_is_escaped() -> None:
    assert commands("run `a <b>` now") == 'run <code class="command">a &lt;b&gt;</code> now'
    assert commands("one ` only <i>") == "one ` only &lt;i&gt;"
    assert "<script>" not in commands(samples.HOSTILE)
    assert "\x1b" not in commands(f"`{samples.HOSTILE}`")


def test_long_names_break_at_separators_alone() -> None:
    found = breakable("file:/srv/anchors/anchor-20261129T0000.json of 2026-11-29 12:30:05, 4.5 s <x>")
    assert found == (
        "file:/srv/<wbr>anchors/<wbr>anchor-<wbr>20261129T0000.<wbr>json of "
        '<span class="date">2026-11-29</span> 12:30:05, 4.5 s &lt;x&gt;'
    )
    assert (
        breakable("2026-11-29T12:30:05Z") == '<span class="date">2026-11-29</span><wbr><span class="date">T12:30:05Z</span>'
    )
    assert "<script>" not in breakable(samples.HOSTILE)


def test_the_time_in_the_name_of_a_run_is_never_broken() -> None:
    found = run_names("20261130T085441.052Z-quarterly-09a6/20261130T085501.991Z-<b>-1f2e")
    assert found == (
        '<span class="date">20261130T085441.052Z-</span><wbr>quarterly-<wbr>09a6/'
        '<span class="date">20261130T085501.991Z-</span><wbr>&lt;b&gt;-1f2e'
    )


def test_the_policy_allows_exactly_the_script_of_the_index() -> None:
    page = index.render(samples.entries())
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.S)
    policy = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)[0]
    wanted = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{wanted}'"
    assert "innerHTML" not in script
    assert "eval" not in script


def test_no_line_breaks_inside_a_date_and_all_is_escaped() -> None:
    assert whole_dates("from 2026-01-02 to <b>") == 'from <span class="date">2026-01-02</span> to &lt;b&gt;'


def test_each_sign_of_a_legend_has_a_line_of_its_own_and_all_is_escaped() -> None:
    text = remarks.legend([remarks.SHORT_MARK, remarks.MARK])
    lines = signs(text).split("<br>\n")
    assert [line.partition(" ")[0] for line in lines] == [remarks.SHORT_MARK, remarks.MARK, "An"]
    assert html.unescape(" ".join(lines)) == text
    assert signs("<b>") == "&lt;b&gt;"
