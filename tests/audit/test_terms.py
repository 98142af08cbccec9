"""Terms of the audit page: each word that not every reader knows is explained if the page uses it, and only then."""

from __future__ import annotations

import re

import pytest

from drillbook.audit import html, markdown, terms
from tests.audit import stories
from tests.audit.test_chain import audited
from tests.report.test_agreement import plain


@pytest.mark.parametrize("story", [stories.one_day, stories.year, stories.hostile, lambda book: book])
def test_the_terms_are_those_of_the_page(book, story):
    story(book)
    audit = audited(book)
    page = html.render(audit)
    (section,) = re.findall(r'<section aria-labelledby="terms".*?</section>', page, re.S)
    rest = plain(re.sub(r"(?=</t[dh]>)", " ", page.replace(section, "")))
    used = {word for word, pattern, _ in terms.WORDS if re.search(pattern, rest, re.IGNORECASE)}
    assert used == {word for word, _, _ in terms.WORDS if f"<dt>{word}</dt>" in section}
    assert {"Anchor", "Controller"} <= used, "the limits of every record name both"
    for word, _, meaning in terms.WORDS:
        assert (meaning in plain(section).replace("\N{NO-BREAK SPACE}", " ")) is (word in used)
        assert (f"{word}: {meaning}" in plain(markdown.render(audit)).replace("\\", "")) is (word in used)
        assert re.fullmatch(r"[A-Z].*[a-z0-9][^.]*\.", meaning.replace("0.2", "02")), "one sentence"


def test_a_page_with_a_canary_and_an_error_explains_both(book):
    stories.one_day(book)
    assert [word for word, _ in terms.terms(audited(book), [])] == ["Anchor", "Canary", "Controller", "+0/−…"]
