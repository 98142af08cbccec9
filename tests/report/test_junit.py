from __future__ import annotations

import re
from functools import cache
from xml.etree import ElementTree

import pytest

from drillbook.report import junit, rows
from tests.report import renderings, samples

NAMES = [name for name in renderings.ALL if name.endswith(".xml")]


@cache
def tree_of(name: str) -> ElementTree.Element:
    return ElementTree.fromstring(renderings.ALL[name]())


def outcome(case: ElementTree.Element) -> str:
    found = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
    assert len(found) <= 1
    return found[0] if found else "passed"


@pytest.mark.parametrize("name", NAMES)
def test_counts_are_right(name: str) -> None:
    tree = tree_of(name)
    assert tree.tag == "testsuites"
    totals = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for suite in tree:
        assert suite.tag == "testsuite"
        found = [outcome(case) for case in suite.findall("testcase")]
        counts = {
            "tests": len(found),
            "failures": found.count("failure"),
            "errors": found.count("error"),
            "skipped": found.count("skipped"),
        }
        assert {key: int(suite.get(key, "")) for key in counts} == counts
        totals = {key: totals[key] + counts[key] for key in counts}
        assert all(
            case.get("classname") and case.get("name") and float(case.get("time", "")) >= 0
            for case in suite.iter("testcase")
        )
    assert {key: int(tree.get(key, "")) for key in totals} == totals


@pytest.mark.parametrize(
    ("status", "wanted"),
    [
        ("done", "passed"),
        ("failed", "failure"),
        ("error", "error"),
        ("unverified", "error"),
        ("unknown", "error"),
        ("cancelled", "error"),
        ("skipped", "skipped"),
        ("allowed", "skipped"),
    ],
)
def test_status_of_a_step(status: str, wanted: str) -> None:
    view = samples.passed().model_copy(update={"steps": (samples.step("ready.1", "x.y", "h-1", status=status),)})
    case = ElementTree.fromstring(junit.render(view)).find(".//testcase[@name='ready.1 x.y [h-1]']")
    assert case is not None
    assert case.get("classname") == "postgres-lost.ready"
    assert outcome(case) == wanted


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("passed", {"RTO": "passed", "RPO": "passed", "Detection": "passed", "verdict": "passed"}),
        ("failed", {"RTO": "error", "RPO": "error", "Detection": "passed", "verdict": "failure"}),
        ("inconclusive", {"RTO": "error", "RPO": "error", "Detection": "error", "verdict": "error"}),
        ("put_back", {"RTO": "passed", "verdict": "passed"}),
        ("too_slow", {"RTO": "failure", "verdict": "failure"}),
        ("not_whole", {"RTO": "error", "verdict": "failure"}),
        ("not_ready", {"RTO": "error", "verdict": "error"}),
        ("killed", {"RTO": "error", "verdict": "error"}),
        ("died", {"RTO": "error", "verdict": "error"}),
        ("unprobed", {"verdict": "passed"}),
    ],
)
def test_objectives_and_verdict(name: str, wanted: dict[str, str]) -> None:
    cases = {case.get("name", ""): outcome(case) for case in tree_of(f"{name}.xml").iter("testcase")}
    assert {key: cases[key] for key in wanted} == wanted


PASSED = ("passed", "repeated", "long_run", "put_back", "unprobed")


@pytest.mark.parametrize("name", [name for name in samples.ALL if name not in PASSED])
def test_what_did_not_pass_is_not_green(name: str) -> None:
    tree = tree_of(f"{name}.xml")
    assert int(tree.get("failures", "")) + int(tree.get("errors", "")) > 0


def test_a_passed_verdict_with_residue_is_not_green() -> None:
    view = samples.passed()
    view = view.model_copy(update={"result": view.result.model_copy(update={"exit": 5})})
    case = ElementTree.fromstring(junit.render(view)).find(".//testcase[@name='verdict']")
    assert case is not None
    assert outcome(case) == "error"


def test_properties_and_time() -> None:
    suite = tree_of("passed.xml").find("testsuite")
    assert suite is not None
    found = {one.get("name"): one.get("value") for one in suite.iter("property")}
    assert found["verdict"] == "passed"
    assert found["plan_digest"] == samples.passed().result.plan_digest
    assert suite.get("timestamp") == samples.passed().result.started[:19]


@pytest.mark.parametrize("name", samples.ALL)
def test_the_properties_of_objectives_use_the_words_of_the_report(name: str) -> None:
    view = samples.ALL[name]()
    found = {one.get("name"): one.get("value") for one in tree_of(f"{name}.xml").iter("property")}
    assert {key: said for key, said in found.items() if str(key).startswith("objective.")} == {
        f"objective.{row.key}": row.said for row in rows.rows_of(view.result)
    }


def test_hostile_text_is_legal_xml() -> None:
    text = renderings.ALL["overwritten.xml"]()
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]", text)
    assert "\\x1b[31mred" in text
    assert "<script" not in text
    first = next(tree_of("overwritten.xml").iter("testcase"))
    assert "<script>alert(1)</script>" in first.get("name", "")


def test_a_suite_has_one_test_suite_a_drill_and_its_own_verdict() -> None:
    names = [suite.get("name") for suite in tree_of("suite.xml")]
    assert names == ["postgres-lost", "postgres-lost", "sample", "redis-lost", "quarterly"]
    assert tree_of("suite.xml").find("testsuite[@name='redis-lost']/testcase/error") is not None
