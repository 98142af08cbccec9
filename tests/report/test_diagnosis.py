"""Diagnosis in reports: the causes of one drill, and for a suite the injected faults compared with the diagnosed ones."""

from drillbook.judge.result import DiagnosisResult, FaultResult, Injection
from drillbook.report import diagnosis, html, markdown
from tests.report import samples

CAUSE = {
    "cause": "port-taken",
    "title": "Somebody holds the port",
    "impact": "unavailable",
    "subject": "api",
    "service": "api",
    "score": 8,
    "supports": [{"says": "process 7 holds it", "weight": 8}],
    "against": [{"says": samples.HOSTILE, "weight": 1}],
    "unseen": [],
    "remedy": "end it",
    "step": None,
}


def diagnosed(expected, found, injection=Injection.INJECTED, **more):
    values = {
        "service": "api",
        "expected": expected,
        "found": found,
        "correct": expected == found,
        "seconds": None if found is None else 2.5,
        "error_s": None if found is None else 0.001,
        **more,
    }
    view = samples.passed()
    return view.model_copy(
        update={
            "result": view.result.model_copy(
                update={
                    "diagnosis": DiagnosisResult(**values),
                    "faults": (FaultResult(step="inject.1", host="app-1", injection=injection),),
                }
            )
        }
    )


def test_one_run_shows_what_spoke_for_and_against():
    view = diagnosed("port-taken", "port-taken", ranked=(CAUSE,))
    page, text = html.render(view), markdown.render(view)
    for shown in (page, text):
        assert "process 7 holds it" in shown
        assert "end it" in shown
        assert "This is the expected cause." in shown
        assert "<script>" not in shown
    assert 'href="#diagnosis"' in page


def test_a_cause_in_another_service_is_told_with_this_service():
    elsewhere = diagnosed("cache-lost", "cache-lost", ranked=({**CAUSE, "cause": "cache-lost", "service": "cache"},))
    assert "The diagnosis of api named cache-lost of cache in " in diagnosis.sentence(elsewhere.result.diagnosis)
    here = diagnosed("cache-lost", "cache-lost", ranked=({**CAUSE, "cause": "cache-lost", "service": "api"},))
    assert "The diagnosis of api named cache-lost in " in diagnosis.sentence(here.result.diagnosis)


def test_a_run_without_a_diagnosis_says_nothing_of_it():
    assert "Diagnosis" not in html.render(samples.passed())
    assert "Diagnosis" not in markdown.render(samples.passed())


def test_what_was_not_known_is_told():
    text = markdown.render(diagnosed("api-down", "unknown", why=("api: its unit could not be examined",)))
    assert "its unit could not be examined" in text
    assert "expected cause was api-down" in text


def test_the_table_of_a_suite_marks_its_diagonal():
    views = [
        diagnosed("api-down", "api-down"),
        diagnosed("api-down", "api-down"),
        diagnosed("port-taken", "unknown"),
        diagnosed("env-missing", None),
        samples.passed(),
    ]
    found = diagnosis.confusion(views)
    assert found.columns == ["api-down", "port-taken", "env-missing", "unknown", "not diagnosed"]
    shown = {injected: [diagnosis.cell_text(cell) for cell in cells] for injected, cells in found.rows}
    assert shown == {
        "api-down": ["✓ 2", "", "", "", ""],
        "port-taken": ["", "✗ 0", "", "1", ""],
        "env-missing": ["", "", "✗ 0", "", "1"],
    }
    assert found.sentence == "2 of 4 diagnoses named the cause that was injected. 1 of 5 drills has no diagnosis."
    suite, _ = samples.suite()
    for shown_text in (html.render_suite(suite, views), markdown.render_suite(suite, views)):
        assert "Injected and diagnosed" in shown_text
        assert "✓ 2" in shown_text
    assert "Injected and diagnosed" not in html.render_suite(*samples.suite())


def test_what_was_not_injected_was_not_missed_by_its_diagnosis():
    """A drill that was not run here, refused, or stopped before its fault."""
    assert (
        diagnosis.confusion([diagnosed("api-down", None, Injection.NOT), diagnosed("api-down", None, Injection.NEVER)])
        is None
    )
    found = diagnosis.confusion(
        [
            diagnosed("api-down", "api-down"),
            diagnosed("port-taken", None, Injection.NOT),
            diagnosed("env-missing", None, Injection.UNKNOWN),
        ]
    )
    assert [row for row, _ in found.rows] == ["api-down", "env-missing"]
    assert found.sentence == "1 of 2 diagnoses named the cause that was injected."
