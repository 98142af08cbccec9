from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drillbook.findings import finding
from drillbook.report import figures, index, markdown, moments, rows
from drillbook.report.terminal import summary
from tests.report import renderings, samples


@pytest.mark.parametrize(
    ("value", "error", "written"),
    [
        (7.41, 0.1, "7.4 s ± 0.1 s"),
        (0.0, 0.05, "at most 0.05 s"),
        (0.019, 0.02, "at most 0.04 s"),
        (0.021, 0.02, "at most 0.041 s"),
        (1.04, 1.02, "at most 2.1 s"),
        (0.1145, 0.1135, "at most 0.23 s"),
        (0.0311, 0.02, "0.03 s ± 0.02 s"),
        (2.05, 0.05, "2.05 s ± 0.05 s"),
        (144.5, 0.61, "2 min 24.50 s ± 0.61 s"),
        (7.4137, 0.1234, "7.41 s ± 0.13 s"),
        (1234.5, 12.0, "20 min 34 s ± 12 s"),
        (3.0, None, "3 s (error not stated)"),
    ],
)
def test_figure_has_the_digits_that_its_error_allows(value: float, error: float | None, written: str) -> None:
    assert figures.figure(value, error) == written


@pytest.mark.parametrize(
    ("value", "error", "written"),
    [
        (7.4, 0.1, "7.4 s +0/−0.1 s"),
        (7.41, 0.1, "7.41 s +0/−0.10 s"),
        (7.444, 0.25, "7.45 s +0/−0.26 s"),
        (7.446, 0.12, "7.45 s +0/−0.13 s"),
        (2.9, 0.2, "2.9 s +0/−0.2 s"),
        (59.996, 0.25, "1 min +0/−0.26 s"),
        (7.4444, 0.0, "7.444 s +0/−0.000 s"),
        (144.5, 0.61, "2 min 24.50 s +0/−0.61 s"),
        (0.019, 0.02, "at most 0.02 s"),
        (3.0, None, "3 s (error not stated)"),
    ],
)
def test_an_error_that_goes_only_downwards_is_written_so(value: float, error: float | None, written: str) -> None:
    assert figures.figure(value, error, latest=True) == written
    assert figures.without_error(written) == written.partition(" +")[0].partition(" (")[0]
    assert " +" not in figures.tight(written)


@pytest.mark.parametrize(
    ("value", "target", "written"),
    [(10.004, 10.0, "10.004 s ± 0.050 s"), (9.996, 10.0, "10.00 s ± 0.05 s"), (10.0, 10.0, "10.00 s ± 0.05 s")],
)
def test_figure_stands_on_the_right_side_of_its_target(value: float, target: float, written: str) -> None:
    assert figures.against(value, 0.05, target) == written


@pytest.mark.parametrize(
    ("value", "target", "written"),
    [
        (9.991, 10.0, "10.00 s +0/−0.26 s"),
        (9.993, 9.998, "9.993 s +0/−0.250 s"),
        (10.003, 10.0, "10.01 s +0/−0.26 s"),
    ],
)
def test_a_figure_that_is_rounded_up_stands_on_the_right_side_of_its_target(
    value: float, target: float, written: str
) -> None:
    assert figures.against(value, 0.25, target, latest=True) == written


@pytest.mark.parametrize(
    ("value", "error", "target", "latest", "written"),
    [
        (12.3456, 0.0123, 120.0, False, "12.3 s"),
        (10.716, 0.05, 30.0, True, "10.8 s"),
        (4.5512, 0.0123, 120.0, False, "4.55 s"),
        (123.456, 0.25, 600.0, True, "124 s"),
        (75.3, 0.25, 75.4, True, "75.3 s"),
        (1234.5, 0.25, 3600.0, False, "20 min 34 s"),
        (10.004, 0.05, 10.0, False, "10.004 s"),
        (0.0811, 0.0822, 30.0, True, "at most 0.09 s"),
        (0.0421, 0.0422, 30.0, True, "at most 0.043 s"),
        (3.0, None, 30.0, False, "3.00 s"),
    ],
)
def test_a_rounded_figure_has_few_digits_and_stands_on_the_right_side_of_its_target(
    value: float, error: float | None, target: float, latest: bool, written: str
) -> None:
    assert figures.rounded_figure(value, error, target, latest=latest) == written


def in_seconds(text: str) -> float:
    factors = {"d": 86400, "h": 3600, "min": 60, "s": 1}
    return sum(float(number) * factors[unit] for number, unit in re.findall(r"([\d.]+) (d|h|min|s)\b", text))


@given(st.floats(0, 1e6), st.floats(1e-4, 1e4))
def test_what_is_written_is_what_was_measured(value: float, error: float) -> None:
    text, digits = figures.figure(value, error), figures.error_digits(error)
    if value <= error or text.startswith("at most "):
        assert text.startswith("at most ")
        assert round(value, digits) <= figures.rounded_up(error, digits)
        upper = in_seconds(text.removeprefix("at most "))
        assert value + error - 1e-6 * 10**-digits - 1e-9 <= upper <= value + error + 1.5 * 10**-digits + 1e-6
        return
    shown_value, shown_error = text.split(" ± ")
    assert abs(in_seconds(shown_value) - value) <= 0.5 * 10**-digits + 1e-6
    assert in_seconds(shown_error) >= error - 1e-6 * 10**-digits - 1e-9
    assert in_seconds(shown_error) <= error * 1.5 + 10**-digits


@given(st.floats(0, 1e6), st.floats(1e-4, 1e4))
def test_the_true_value_is_never_outside_a_figure_whose_error_goes_only_downwards(value: float, error: float) -> None:
    text = figures.figure(value, error, latest=True)
    digits = figures.error_digits(error)
    tiny = 1e-6 * 10**-digits + 1e-9
    if text.startswith("at most "):
        assert in_seconds(text) >= value - tiny
        return
    shown, doubt = map(in_seconds, text.split(" +0/−"))
    assert value - tiny <= shown <= value + 10**-digits + tiny
    assert error - tiny <= doubt <= error + 2 * 10**-digits + tiny
    assert shown - doubt <= value - error + tiny
    low, high = figures.printed(value, error, latest=True)
    assert (low, high) == pytest.approx((shown - doubt, shown + doubt))


@given(st.text())
def test_nothing_hidden_is_left(text: str) -> None:
    found = figures.shown(text)
    found.encode()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200b\u200e\u200f]", found)
    assert "\n" not in figures.one_line(text)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("\x1b[31m", "\\x1b[31m"),
        ("a\u202eb", "a\\u202eb"),
        ("\ud800", "\\ud800"),
        ("a\r\nb\rc", "a\nb\\x0dc"),
        ("值班工程师 \N{THUMBS UP SIGN}", "值班工程师 \N{THUMBS UP SIGN}"),
        ("\ufffe\U000e0041", "\\ufffe\\U000e0041"),
    ],
)
def test_shown(text: str, written: str) -> None:
    assert figures.shown(text) == written


@pytest.mark.parametrize("path", ["evidence/verify.1.db-1.diff", "01-postgres-lost", "a/b/c.json"])
def test_links_stay_below(path: str) -> None:
    assert figures.link(path) == path


@pytest.mark.parametrize(
    "path",
    ["../x", "/etc/passwd", "javascript:alert(1)", "//evil", "a/../b", "https://x", "", "a b", "a\n", ".hidden", "a//b"],
)
def test_other_paths_are_no_links(path: str) -> None:
    assert figures.link(path) is None


def test_times() -> None:
    assert figures.utc("2026-01-02T10:00:00.000000Z", 8.02) == "2026-01-02 10:00:08 UTC"
    assert figures.utc("2026-01-02T18:00:00+08:00") == "2026-01-02 10:00:00 UTC"
    assert figures.utc("not\x1b a time") == "not\\x1b a time"
    assert figures.utc(None) == "not recorded"


def test_error_digits_of_nonsense() -> None:
    assert figures.error_digits(0.0) == figures.error_digits(math.inf) == 3


def test_tight_keeps_a_figure_on_one_line() -> None:
    assert " " not in figures.tight("2 min 24.50 s ± 0.61 s")
    assert figures.tight("41 of 388 writes") == "41 of 388 writes"


@pytest.mark.parametrize(("count", "written"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 * 2**40, "3.0 TiB")])
def test_size(count: int, written: str) -> None:
    assert figures.size(count) == written


def test_an_upper_end_that_meets_the_target_is_not_shown_above_it() -> None:
    assert figures.against(0.451, 0.47, 0.922) == "at most 0.921 s"
    assert figures.against(0.451, 0.47, 0.92) == "at most 0.93 s"


def test_every_list_of_runs_tells_the_same_duration() -> None:
    """Also when the controller's monotonic clock, which the timeline uses, counted some milliseconds more."""
    view = samples.passed()
    result = view.result.model_copy(update={"started": "2026-01-01T00:00:00.000Z", "finished": "2026-01-01T00:00:09.794Z"})
    timeline = view.timeline.model_copy(update={"seconds": 9.796})
    same = view.model_copy(update={"result": result, "timeline": timeline})
    assert figures.lasted(result.started, result.finished) == pytest.approx(9.794)
    assert figures.lasted(result.started, None) is None
    told = {
        "terminal": renderings.printed(summary.line(same)),
        "index": index.render([index.entry(result.model_dump(mode="json", by_alias=True))]),
        "report": moments.course(same).partition(", from")[0],
    }
    for where, text in told.items():
        assert "9.79 s" in text, where
        assert "9.80 s" not in text, where


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("memory below 134217728 bytes", "memory below 128 MiB (134217728 bytes)"),
        ("at most 93600 s old", "at most 1 d 2 h old"),
        ("1023 bytes after 59.9 s", "1023 bytes after 59.9 s"),
        ("10885957 bytes, sha256 12345678", "10.4 MiB (10885957 bytes), sha256 12345678"),
        (
            "a backup every 1d, so that the newest is at most 36h old",
            "a backup every 1 d, so that the newest is at most 36 h old",
        ),
        ("wait 5m (or 30s); `every: 26h` and 20261128T190353s", "wait 5 min (or 30 s); `every: 26h` and 20261128T190353s"),
        ("at 11.862 s; v1.300 s", "at 11.862 s; v1.300 s"),
    ],
)
def test_long_numbers_get_a_unit_that_people_read(text: str, told: str) -> None:
    assert figures.readable(text) == told
    assert figures.readable(told) == told


def test_findings_and_facts_have_readable_numbers() -> None:
    view = samples.failed()
    one = finding("redis-unhealthy", wanted="memory below 134217728 bytes", measured="210763776 bytes for 93600 s")
    result = view.result.model_copy(update={"findings": (one,)})
    (shown,) = rows.findings_of(result)
    assert (shown.wanted, shown.measured) == (
        "memory below 128 MiB (134217728 bytes)",
        "201 MiB (210763776 bytes) for 1 d 2 h",
    )
    facts = {"bytes": 134217728, "age_s": 93600.0, "max_bytes": 12, "loading": True}
    step = samples.step("ready.1", "redis.healthy", facts=facts)
    text = markdown.render(view.model_copy(update={"steps": (step,)}))
    assert "age\\_s `93600.0` (1 d 2 h), bytes `134217728` (128.0 MiB), loading `true`, max\\_bytes `12`" in text
