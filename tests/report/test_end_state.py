"""A report of a run that did not pass says in which state it left the service, and links the failed step."""

from __future__ import annotations

import pytest

from drillbook.report import end_state, html, markdown
from tests.report import renderings, samples
from tests.report.test_agreement import plain


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("failed", "1 fault was undone; the last sample of http.available was good."),
        ("stuck", "inject.1 on a could not be undone; the last sample of http.available was bad."),
        ("killed", "inject.1 on a could not be undone."),
        ("closed", "inject.1 on a could not be undone, and a person closed it."),
        ("inconclusive", "1 fault was undone."),
    ],
)
def test_the_state_at_the_end_of_a_run_that_did_not_pass(name: str, said: str) -> None:
    view = samples.recorded(name)
    assert end_state.sentence(view) == f"State at the end of the run: {said}"
    for text in (html.render(view), markdown.render(view), renderings.formats(view)["txt"]):
        assert "State at the end of the run: " in plain(text)


@pytest.mark.parametrize("name", ["passed", "put_back", "not_ready"])
def test_a_run_that_passed_or_touched_nothing_says_nothing(name: str) -> None:
    assert end_state.sentence(samples.recorded(name)) == ""
    assert "State at the end" not in html.render(samples.recorded(name))


def test_the_head_of_the_page_links_the_failed_step() -> None:
    page = html.render(samples.failed())
    head = page.split("</header>")[0]
    assert "<code>verify.1</code></a>." in head
    anchor = head.split('Failed step: <a href="#')[1].split('"')[0]
    assert f'id="{anchor}"' in page
    assert "Failed step" not in html.render(samples.passed())
