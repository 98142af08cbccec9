"""Any text as Markdown: it stays text, code or a block."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from drillbook.report import markdown_syntax

READER = MarkdownIt("commonmark", {"html": True}).enable("table")


@given(st.text())
def test_text_stays_text(text: str) -> None:
    tokens = READER.parse("x" + markdown_syntax.escape(text))
    assert [token.type for token in tokens] == ["paragraph_open", "inline", "paragraph_close"]
    assert {child.type for child in tokens[1].children or ()} <= {"text", "text_special"}


@given(st.text("`|\\ a\n<*", min_size=1))
def test_code_stays_code(text: str) -> None:
    children = READER.parse("x " + markdown_syntax.code(text))[1].children or []
    assert [child.type for child in children] == ["text", "code_inline"]


@given(st.text("`a\n~ ", min_size=1))
def test_nothing_ends_a_block(text: str) -> None:
    assert [token.type for token in READER.parse(markdown_syntax.block(text))] == ["fence"]
