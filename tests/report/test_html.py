from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise

import pytest
from jinja2 import UndefinedError

from drillbook.findings import finding
from drillbook.judge.outlook import Outlook
from drillbook.judge.result import Verdict
from drillbook.report import html, markdown, run_record
from drillbook.report.pages import environment
from tests.report import renderings, samples

OUTLOOK = {
    "service": "backups",
    "points": 1,
    "since": "2026-01-01T00:00:00Z",
    "bytes": 10240,
    "items": 4,
    "unit": "objects",
    "free_bytes": None,
    "growth_bytes_per_day": None,
    "growth_error": None,
    "growth_reason": "only 1 run measured it",
    "full": {"reason": "the free space is unknown"},
    "rto_target_s": None,
    "restores": 0,
    "restore_bytes_per_s": None,
    "outgrows": {"reason": "no restore was measured"},
}
VOID = {"meta", "link", "br", "img", "input", "hr", "wbr"}


class Page(HTMLParser):
    """Parses a page and reports unbalanced tags."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str], list[str]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, names)
        self.tags.append((tag, {name: value or "" for name, value in attrs}, list(self.open)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, (tag, self.open)

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("style", "script"):
            self.words.append(data)

    def all(self, *tags: str) -> list[dict[str, str]]:
        return [attrs for tag, attrs, _ in self.tags if tag in tags]


@pytest.fixture(params=renderings.PAGES)
def text(request: pytest.FixtureRequest) -> str:
    return renderings.ALL[request.param]()


@pytest.mark.parametrize("name", [name for name in renderings.PAGES if name != "index.html"])
def test_the_report_of_a_run_has_no_script(name: str) -> None:
    page = Page(renderings.ALL[name]())
    assert not page.all("script")
    policy = next(attrs for attrs in page.all("meta") if attrs.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'; img-src data:"


def test_well_formed_and_harmless(text: str) -> None:
    page = Page(text)
    assert text.startswith("<!doctype html>")
    assert page.all("script") in ([], [{}])
    assert not page.all("iframe", "object", "embed", "form", "base", "img", "foreignobject")
    for _, attrs, _ in page.tags:
        assert not [name for name in attrs if name.startswith("on")]
    assert page.all("html")[0]["lang"] == "en"


def test_nothing_from_elsewhere(text: str) -> None:
    page = Page(text)
    for tag, attrs, _ in page.tags:
        for name in ("src", "href", "action", "xlink:href", "srcset", "poster"):
            if name in attrs and attrs[name] != "data:,":
                assert re.fullmatch(r"#[\w-]+|[A-Za-z0-9_][\w.@+=,/-]*", attrs[name]), (tag, attrs)
                assert ".." not in attrs[name]
        assert not re.search(r"url\((?!#)", attrs.get("style", ""))
    style = re.findall(r"<style>(.*?)</style>", text, re.S)
    assert len(style) == 1
    assert not re.search(r"url\((?!#)|@import", style[0])


def test_accessible(text: str) -> None:
    page = Page(text)
    ids = [attrs["id"] for _, attrs, _ in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    for _, attrs, _ in page.tags:
        for name in ("aria-labelledby", "aria-describedby"):
            assert attrs.get(name, "objectives") in [*ids, "objectives"]
        if attrs.get("href", "").startswith("#"):
            assert attrs["href"][1:] in ids
    levels = [int(tag[1]) for tag, _, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for landmark in ("header", "main", "footer"):
        assert len(page.all(landmark)) == 1
    assert len(page.all("table")) == len(page.all("caption"))
    assert all(attrs.get("scope") in ("col", "row") for attrs in page.all("th"))


def test_every_part_of_a_report_is_in_its_navigation() -> None:
    outlook = Outlook.model_validate(OUTLOOK)
    lost = samples.step("verify.9", "postgres.loss", facts={"loss_s": 3.0, "error_s": 0.1, "basis": "the server's clock"})
    base = samples.passed()
    full = base.model_copy(
        update={"result": base.result.model_copy(update={"capacity": (outlook,)}), "steps": (*base.steps, lost)}
    )
    pages = [samples.ALL[name]() for name in samples.ALL]
    for view in [full, *pages]:
        page = html.render(view)
        heads = re.findall(r'<h2 id="([a-z]+)"', page)
        assert re.findall(r'<li><a href="#([a-z]+)"', page) == heads
    assert {"capacity", "losses"} <= set(re.findall(r'<h2 id="([a-z]+)"', html.render(full)))
    assert "residue" in re.findall(r'<h2 id="([a-z]+)"', html.render(samples.recorded("stuck")))


@pytest.mark.parametrize("growth", [None, 1000.0])
def test_a_forecast_is_explained_only_where_there_is_one(growth: float | None) -> None:
    outlook = Outlook.model_validate(OUTLOOK | {"growth_bytes_per_day": growth, "growth_error": growth})
    result = samples.result(capacity=(outlook,))
    page, text = html.render(samples.view(result)), markdown.render(samples.view(result))
    assert ("straight line through" in page) == ("straight line through" in text) == (growth is not None)
    assert '<span class="under">10.0 KiB, 4 objects' in page


def test_findings_of_drills_that_passed_stand_at_the_top_of_a_suite() -> None:
    found = finding("hole-in-survivors", measured="7 of 50").model_copy(update={"severity": "medium"})
    view = samples.view(samples.result(findings=(found,)))
    suite, _ = samples.suite()
    only = suite.model_copy(update={"runs": suite.runs[:1], "verdict": Verdict.PASSED})
    head, rest = html.render_suite(only, [view]).split('<h2 id="drills">')
    assert "1 drill: 1 passed. Open findings: 1 medium, in postgres-lost." in head
    assert found.title in head
    assert rest.count("! 1 medium finding") == 2, "in the list, and at the drill's own section"
    calm = html.render_suite(only, [samples.view(samples.result(findings=()))])
    assert "Open findings" not in calm
    assert 'class="attention"' not in calm


def test_drawings_have_words(text: str) -> None:
    page = Page(text)
    for tag, attrs, above in page.tags:
        if tag == "svg":
            assert attrs.get("aria-hidden") == "true" or (attrs["role"] == "img" and attrs["aria-label"]), attrs
        if tag in ("rect", "circle", "path", "line", "polyline"):
            assert "svg" in above
    labelled = [attrs for attrs in page.all("svg") if attrs.get("role") == "img"]
    within = [tag for tag, _, above in page.tags if above and above[-1] == "svg" and tag in ("title", "desc")]
    assert within.count("title") == within.count("desc") == len(labelled)


def test_hostile_text_is_shown_and_does_nothing() -> None:
    text = html.render(samples.overwritten())
    page = Page(text)
    words = "".join(page.words)
    assert "<script>alert(1)</script> \\x1b[31mred\\x1b[0m {{ 7*7 }} {% raw %} \\u202egnp.exe" in words
    assert "49" not in re.sub(r"\d{3,}|[\d.]+ ", "", words)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", text)
    text.encode()
    hrefs = [attrs["href"] for attrs in page.all("a")]
    assert all(href.startswith("#") for href in hrefs)


def test_evidence_is_linked_only_inside_the_run() -> None:
    inside = "evidence/verify.1.db-1.documents.diff"
    told = finding(
        "table-content", measured="13 rows", evidence=(inside, "javascript:alert(1)", "../../etc/passwd", "/etc/passwd")
    )
    page = Page(html.render(samples.view(samples.result(findings=(told,)))))
    hrefs = {attrs["href"] for attrs in page.all("a")}
    assert inside in hrefs
    assert not [href for href in hrefs if "javascript" in href or "passwd" in href]


def test_hostile_output_of_a_run_is_shown_and_does_nothing() -> None:
    words = "".join(Page(html.render(samples.recorded("hostile"))).words)
    shown = "<script>alert(1)</script> \\x1b[31mred\\x1b[0m {{ 7*7 }} {% raw %} \\u202egnp.exe"
    assert words.count(shown) > 10, "title, description, contact, tool, operator, steps, output of commands, residue"


def test_folders_of_a_suite_are_linked_only_below_it() -> None:
    hrefs = {attrs["href"] for attrs in Page(html.render_suite(*samples.suite())).all("a")}
    assert "01-postgres-lost/report.html" in hrefs
    assert not [href for href in hrefs if "outside" in href]


def test_residue_is_loud_and_has_its_commands() -> None:
    text = html.render(samples.recorded("stuck"))
    assert text.index("could not be undone") < text.index('id="objectives"')
    assert "mend door" in text
    assert "could not be undone" not in html.render(samples.passed())


def test_templates_do_not_print_what_is_missing() -> None:
    env = environment()
    with pytest.raises(UndefinedError):
        env.from_string("{{ nothing }}").render()
    with pytest.raises(TypeError, match="None"):
        env.from_string("{{ value }}").render(value=None)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
def test_contrast_is_aa(scheme: int) -> None:
    blocks = re.findall(r":root \{(.*?)\}", html.render(samples.passed()), re.S)
    colours = dict(re.findall(r"--([\w-]+): (#\w{6})", blocks[scheme]))
    tones = [(tone, "paper") for tone in ("ink", "soft", "link", "good", "bad", "warn", "calm", "stop")]
    extra = [
        ("ink", "sheet"),
        ("soft", "sheet"),
        ("ink", "bad-tint"),
        ("bad", "bad-tint"),
        ("ink", "phase"),
        ("ink", "phase-odd"),
        ("ink", "stop-tint"),
    ]
    for front, back in [*tones, *extra]:
        light, dark = sorted((luminance(colours[front]), luminance(colours[back])), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (front, back)


def test_what_was_closed_says_who_and_why_and_names_no_command() -> None:
    view = samples.recorded("closed")
    page = html.render(view)
    assert "with residue, closed" in page
    assert re.search(r"Closed by nobody at 20\d\d-\d\d-\d\d [\d:]+ UTC, approved by alice@example.com", page)
    assert "pretend.break on a (step inject.1): the check of the change reported unknown: a: cannot connect" in page
    assert "To undo the changes" not in page
    settled = view.result.settled
    assert settled is not None
    evil = settled.model_copy(update={"by": samples.HOSTILE, "reason": samples.HOSTILE})
    hostile = html.render(view.model_copy(update={"result": view.result.model_copy(update={"settled": evil})}))
    assert "<script>" not in hostile
    assert "\x1b" not in hostile


@pytest.mark.parametrize(
    ("changed", "explained"),
    [
        ({"lab": ""}, True),
        ({"lab": "", "protected": False}, True),
        ({"lab": "", "protected": True}, False),
        ({"lab": "docker", "protected": True}, True),
        ({"environment": "staging"}, False),
    ],
)
def test_only_a_lab_that_is_not_protected_is_called_a_test_environment(changed: dict[str, object], explained: bool) -> None:
    view = samples.passed()
    other = view.model_copy(update={"plan": view.plan | {"inventory": view.plan["inventory"] | changed}})
    suite, _ = samples.suite()
    for page in (html.render(other), html.render_suite(suite, [view, other])):
        assert ("a test environment, not production" in page) is explained
    assert "a test environment" not in html.render_suite(suite, [])
    assert "a test environment" not in html.render(view.model_copy(update={"plan": {}}))


def test_the_plan_lists_the_services_that_it_uses_and_counts_the_others() -> None:
    view = samples.passed()
    inventory = view.plan["inventory"]
    others = {f"other-{number}": {"kind": "http", "host": "db-1", "url": f"http://other-{number}"} for number in range(30)}
    url = {"kind": "http", "host": "db-1", "url": "http://front:80"}
    services = {**inventory["services"], "front": url, **others}
    steps = [*view.plan["steps"], {"id": "verify.9", "effect": "read", "params": {"url": "{{ services.front.url }}/health"}}]
    plan = {**view.plan, "steps": steps, "inventory": {**inventory, "services": services}}
    rows = dict(run_record.plan_rows(view.model_copy(update={"plan": plan})))
    assert "database (postgres on db-1)" in rows["Services"]
    assert "front (http on db-1)" in rows["Services"]
    assert "backups (s3 on store-1)" in rows["Services"]
    assert "other-" not in rows["Services"]
    unused = len(services) - len(run_record.used_services(plan))
    assert rows["Services"].endswith(f", {unused} other services in the inventory, not used by the drill")
    assert unused >= 30


def test_backticks_in_the_description_of_a_drill_are_code() -> None:
    view = samples.passed()
    plan = {**view.plan, "description": "Compare the `rows` of <b>both</b>"}
    page = html.render(view.model_copy(update={"plan": plan}))
    assert "Compare the <code>rows</code> of &lt;b&gt;both&lt;/b&gt;" in page


def test_on_a_phone_the_latency_of_good_samples_does_not_read_as_their_share() -> None:
    page = html.render(samples.passed())
    assert 'data-head="Good: 99 % in"' in page
    assert 'data-head="Good: 99 %"' not in page
