from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt

from drillbook.report import markdown, markdown_syntax
from tests.report import renderings, samples

READER = MarkdownIt("commonmark", {"html": True}).enable("table")
DOCUMENTS = [name for name in renderings.ALL if name.endswith(".md")]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_no_html_gets_through(name: str) -> None:
    tokens = READER.parse(renderings.ALL[name]())
    kinds = {token.type for token in tokens} | {child.type for token in tokens for child in token.children or ()}
    assert not kinds & {"html_block", "html_inline", "image"}
    links = [child.attrGet("href") for token in tokens for child in token.children or () if child.type == "link_open"]
    assert all(re.fullmatch(r"[\w./-]+", str(href)) and ".." not in str(href) for href in links)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_tables_keep_their_columns(name: str) -> None:
    for table in re.findall(r"(?:^\|.*\n)+", renderings.ALL[name](), re.M):
        lines = [re.sub(r"\\\|", "", line) for line in table.splitlines()]
        if lines[1:2] and set(lines[1]) <= set("|- "):
            assert len({line.count("|") for line in lines}) == 1


def test_commands_are_in_blocks() -> None:
    text = markdown.render(samples.recorded("stuck"))
    assert "```text\non a, in this order:\nmend door\n```" in text
    assert "**To undo the changes, run:** `invoke drill.recover run`" in text
    assert "```text\nwhole\n```" in markdown.render(samples.recorded("not_ready"))  # it failed


def test_short_and_still_whole() -> None:
    """Successful commands are only in the journal; the report contains all steps, their facts in short, and all
    failures.
    """
    text = markdown.render(samples.passed())
    assert len(text.splitlines()) < 160
    steps = samples.passed().steps
    assert not [command for step in steps for command in step.commands if " ".join(command.argv[:2]) in text]
    assert all(f"`{step.result.id}`" in text for step in steps)
    restored = next(step.result for step in steps if step.result.action == "postgres.restore")
    assert f"- `restore.1` on db-1: bytes `{restored.facts['bytes']}`" in text
    assert "closed `true`" in text


def test_hosts_say_their_user_address_and_port_as_far_as_they_are_known() -> None:
    view = samples.passed()
    assert re.search(r"\| Hosts \| `app-1 \(\w+@127\.0\.0\.1:\d+\), db-1 \(\w+@127", markdown.render(view))
    hosts = {"a": {"address": "a.example.com", "port": None, "user": ""}, "controller": {"address": "", "local": True}}
    plan = {**view.plan, "inventory": {**view.plan["inventory"], "hosts": hosts}}
    assert "| Hosts | `a (a.example.com), controller` |" in markdown.render(view.model_copy(update={"plan": plan}))


def test_long_fences_and_open_tags_stay_text() -> None:
    assert [token.type for token in READER.parse(markdown_syntax.block("`a`\n````\n# b"))] == ["fence"]
    assert READER.parse(markdown_syntax.escape("<div class"))[0].type == "paragraph_open"


def test_sentences_show_code_as_code_and_no_escaped_line_feed() -> None:
    told = markdown_syntax.prose("on a, in this order:\nmend `door <x>`\n\nrm -rf /tmp/x")
    assert told == "on a, in this order: mend `door <x>`; rm -rf /tmp/x"
    assert "\\\\n" not in renderings.ALL["stuck.md"]().split("## Phases")[0]
    for name in ("killed.md", "failed.md"):
        assert "No step stored" not in renderings.ALL[name]()
