"""A run that is removed, changed, swapped or truncated is always reported."""

from __future__ import annotations

import json
import shutil
from datetime import date

import pytest

from drillbook.audit import content, html, markdown, records
from drillbook.audit.period import Period
from drillbook.plan.plan import digest_of
from drillbook.values import canonical, digest
from tests.audit import stories
from tests.audit.stories import REHEARSE, SITE


def audited(book, since="2026-01-01", until="2026-12-31", today="2027-01-01"):
    return content.make(*records.find(book.reports), Period.parse(since, until), today=date.fromisoformat(today))


def codes(audit, breaking=True):
    return [(one.code, one.run) for one in audit.problems if one.breaking is breaking]


def evidence(audit, run):
    return next(row for row in audit.evidence if row.run == run.id)


def test_a_quiet_record_is_whole(book):
    audit = audited(stories.quiet(book))
    assert audit.whole
    assert audit.problems == ()
    assert audit.verdicts == {"passed": 3}
    first, second, third = book.runs
    assert evidence(audit, second).before == first.id
    assert evidence(audit, second).anchor == third.id
    assert evidence(audit, third).anchor == "no later run"
    assert len(audit.unanchored) == 1
    assert third.id in audit.unanchored[0]


def test_a_removed_run_is_missed(book):
    first, second, third = stories.quiet(book).runs
    shutil.rmtree(second.folder)
    audit = audited(book)
    assert not audit.whole
    assert codes(audit) == [("missing-run", third.id)]
    text = audit.problems[0].text
    assert second.journal._prev in text
    assert first.id in text
    assert evidence(audit, third).before == (
        "unknown: no journal contains the hash that this run names; the previous run is missing, or the end of its journal was "
        "cut off"
    )


def test_the_runs_before_the_first_one_are_missed(book):
    _, second, _ = stories.quiet(book).runs
    shutil.rmtree(book.runs[0].folder)
    assert codes(audited(book)) == [("missing-run", second.id)]


def test_the_newest_run_can_go_and_the_audit_says_so(book):
    stories.quiet(book)
    shutil.rmtree(book.runs[-1].folder)
    audit = audited(book)
    assert audit.whole
    assert book.runs[1].id in audit.unanchored[0]


def test_a_hole_before_the_period_is_only_context(book):
    stories.quiet(book)
    shutil.rmtree(book.runs[0].folder)
    audit = audited(book, since="2026-03-01")
    assert audit.whole
    assert [one.code for one in audit.elsewhere] == ["missing-run"]


def test_a_run_after_the_period_can_show_that_one_of_it_is_missing(book):
    stories.quiet(book)
    shutil.rmtree(book.runs[1].folder)
    audit = audited(book, since="2026-02-01", until="2026-02-28")
    assert audit.runs == ()
    assert codes(audit) == [("missing-run", book.runs[2].id)]
    assert not audit.whole


def test_a_changed_byte_is_found_and_its_run_is_not_passed(book):
    _, second, third = stories.quiet(book).runs
    lines = second.path.read_bytes().split(b"\n")
    lines[4] = lines[4].replace(b'"host":"app-1"', b'"host":"app-2"')
    second.path.write_bytes(b"\n".join(lines))
    audit = audited(book)
    assert codes(audit) == [("damaged", second.id)]
    assert f"{second.id}/journal.jsonl:5:" in audit.problems[0].text
    assert str(book.root) not in audit.problems[0].text
    assert audit.verdicts == {"passed": 2, "not verified": 1}
    assert "now damaged" in evidence(audit, third).before
    row = next(row for row in audit.runs if row.run == second.id)
    assert (row.verdict, row.drill, row.service, row.rto) == ("not verified", "sample", "api", "not verified")


@pytest.mark.parametrize("line", range(21))
def test_a_byte_changed_in_any_line_never_stays_unnoticed(book, line):
    _, second, _ = stories.quiet(book).runs
    lines = second.path.read_bytes().split(b"\n")
    lines[line] = lines[line].replace(b"T09:00", b"T09:01", 1)
    second.path.write_bytes(b"\n".join(lines))
    audit = audited(book)
    assert ("damaged", second.id) in codes(audit)
    assert audit.verdicts["passed"] == 2


def test_a_changed_first_line_is_not_believed(book):
    _, second, _ = stories.quiet(book).runs
    second.path.write_bytes(second.path.read_bytes().replace(b'"service":"api"', b'"service":"all"', 1))
    row = audited(book).runs[1]
    assert (row.run, row.service, row.drill, row.operator) == (second.id, "unknown", "sample", "unknown")
    assert row.started.startswith("2026-02-10T09:00:00")


def test_a_line_written_anew_with_all_hashes_after_it_is_still_found(book):
    """Recomputing the chain of a journal changes its last hash, which the next run recorded."""
    _, second, third = stories.quiet(book).runs
    prev, lines = None, []
    for line in second.path.read_text().splitlines():
        event = json.loads(line)
        prev = prev or event["prev"]
        if event["kind"] == "done":
            event["data"]["seconds"] = 0.001
        event["prev"] = prev
        event.pop("hash")
        prev = event["hash"] = digest(canonical(event))
        lines.append(canonical(event))
    second.path.write_bytes(b"\n".join(lines) + b"\n")
    assert codes(audited(book)) == [("missing-run", third.id)]


@pytest.mark.parametrize("keep", [1, 5, 20])
def test_lines_cut_from_the_end_are_missed(book, keep):
    _, second, third = stories.quiet(book).runs
    lines = second.path.read_bytes().split(b"\n")
    second.path.write_bytes(b"\n".join(lines[:keep]) + b"\n")
    audit = audited(book)
    assert ("missing-run", third.id) in codes(audit)
    assert "that journal contains no end" in audit.problems[-1].text
    assert next(row for row in audit.runs if row.run == second.id).verdict == "aborted"


def test_a_torn_tail_is_told(book):
    stories.quiet(book)
    last = book.runs[-1]
    last.path.write_bytes(last.path.read_bytes()[:-30])
    audit = audited(book)
    assert codes(audit, breaking=False) == [("torn", last.id)]
    assert audit.runs[-1].verdict == "aborted"
    assert "torn" in evidence(audit, last).state


def test_a_journal_cut_in_the_middle_of_a_line_with_a_later_run_is_missed(book):
    _, second, third = stories.quiet(book).runs
    second.path.write_bytes(second.path.read_bytes()[:-30])
    audit = audited(book)
    assert codes(audit) == [("missing-run", third.id)]
    assert codes(audit, breaking=False) == [("torn", second.id)]


def test_swapped_runs_are_found_and_prove_nothing(book):
    _, second, third = stories.quiet(book).runs
    a, b = second.path.read_bytes(), third.path.read_bytes()
    second.path.write_bytes(b)
    third.path.write_bytes(a)
    audit = audited(book)
    assert {code for code, _ in codes(audit)} >= {"moved"}
    assert audit.verdicts == {"passed": 1, "not verified": 2}


def test_a_renamed_folder_is_found(book):
    second = stories.quiet(book).runs[1]
    second.folder.rename(book.reports / second.id.replace("-sample-", "-other-"))
    audit = audited(book)
    assert codes(audit) == [("moved", second.id)]
    assert audit.verdicts == {"passed": 2, "not verified": 1}


def test_a_run_that_was_not_there_when_the_next_one_began(book, tmp_path):
    stories.quiet(book)
    away = tmp_path / "away"
    book.runs[-1].folder.rename(away)
    later = book.run("2026-05-10T09:00:00").good().close()
    assert audited(book).whole
    away.rename(book.runs[2].folder)
    audit = audited(book)
    assert codes(audit) == [("fork", later.id)]
    assert "names the same previous run" in audit.problems[0].text


def test_runs_at_the_same_time(book):
    """The later run refers to an event in the middle of the other one.

    If two runs start at the same time, the chain forks, which is allowed.
    """
    first = book.run("2026-01-10T09:00:00").fault()
    inner = book.run("2026-01-10T09:00:15").good().close()
    first.availability(*stories.SAMPLES).canary(stories.ACKS, [[1, 400]]).recovery().end().close()
    twin = book.run("2026-01-10T09:00:16", prev=first.journal._prev).good().close()
    audit = audited(book)
    assert audit.whole, audit.problems
    assert "that run was still in progress" in evidence(audit, inner).before
    assert codes(audit, breaking=False) == [("fork", twin.id)]
    assert "at the same time" in audit.problems[0].text


def test_a_recovered_run_is_named_at_an_inner_event(book):
    killed = book.run("2026-05-03T09:00:00").availability(*stories.SAMPLES).fault().close()
    later = book.run("2026-05-04T09:00:00").good().close()
    killed.resumed("2026-05-05T08:00:00").close()
    audit = audited(book)
    assert audit.whole
    assert audit.problems == ()
    row = evidence(audit, killed)
    assert evidence(audit, later).before == (
        f"{killed.id}, at line {row.events - 2} of its journal: that run was recovered later"
    )
    assert row.anchor == f"{later.id}, up to line {row.events - 2} of {row.events}"
    assert any("its last 2 events" in line for line in audit.unanchored)
    assert audit.runs[0].verdict == "aborted"
    assert audit.runs[0].residue == ()
    assert [(row.operator, row.runs, row.recoveries) for row in audit.operators] == [("ann@ops", 2, 0), ("bob@ops", 0, 1)]


def test_what_was_left_and_put_back_after_a_later_run(book):
    left = book.run("2026-05-03T09:00:00").fault().availability(*stories.SAMPLES).recovery().end([stories.LEFT]).close()
    later = book.run("2026-05-04T09:00:00").good().close()
    assert audited(book).runs[0].residue
    left.resumed("2026-05-05T08:00:00").close()
    audit = audited(book)
    assert audit.problems == ()
    assert "recovered later" in evidence(audit, later).before
    assert not audit.runs[0].residue


def test_lines_that_nobody_wrote_behind_the_end(book):
    first, second, _ = stories.quiet(book).runs
    first.at = second.at.replace(day=20)
    first.journal = stories.Journal.resume(first.folder, stories.Redactor([]), origin=0.0)
    first.add(30.0, "done", "verify.1", "controller", facts={}, seconds=0.1, attempts=1).close()
    audit = audited(book)
    assert codes(audit) == [("grown", first.id)]
    events = evidence(audit, first).events
    assert f"ended with line {events - 1} when " in audit.problems[0].text
    assert f"but now contains {events} lines, and no recovery wrote the added lines" in audit.problems[0].text


def test_a_run_inside_a_suite_counts_and_is_missed(book):
    stories.year(book)
    inside = book.runs[2]
    audit = audited(book)
    assert inside.id in [row.run for row in audit.runs]
    shutil.rmtree(inside.folder)
    assert codes(audited(book)) == [("missing-run", book.runs[3].id)]


def test_a_suite_that_was_emptied_of_its_journals(book):
    stories.year(book)
    suite = book.runs[2].folder.parent
    (suite / "result.json").write_text("{}")
    for run in book.runs[2:4]:
        run.path.unlink()
    assert {code for code, _ in codes(audited(book))} == {"no-journal", "missing-run"}


@pytest.mark.parametrize("last", [False, True])
def test_an_empty_journal_needs_a_later_run_to_be_believed(book, last):
    book.run("2026-01-10T09:00:00").good().close()
    folder = book.reports / "20260110T100000.000Z-sample-00ff"
    folder.mkdir()
    (folder / "journal.jsonl").touch()
    if not last:
        book.run("2026-02-10T09:00:00").good().close()
    audit = audited(book)
    assert codes(audit, breaking=last) == [("empty", folder.name)]
    assert audit.whole is not last
    assert audit.verdicts["not verified"] == 1


def test_copies_count_once(book):
    stories.quiet(book)
    shutil.copytree(book.runs[0].folder, book.reports / "copies" / book.runs[0].id)
    audit = audited(book)
    assert audit.whole
    assert codes(audit, breaking=False) == [("copy", book.runs[0].id)]
    assert audit.verdicts == {"passed": 3}


def test_two_histories_of_one_run_break_the_record(book):
    stories.quiet(book)
    other = book.reports / "copies" / book.runs[0].id
    shutil.copytree(book.runs[0].folder, other)
    path = other / "journal.jsonl"
    path.write_bytes(b"\n".join(path.read_bytes().split(b"\n")[:-2]) + b"\n")
    assert codes(audited(book)) == [("copy", book.runs[0].id)]


def test_links_are_not_followed_and_named(book, tmp_path):
    stories.quiet(book)
    (book.reports / "latest").symlink_to(book.runs[-1].id)
    elsewhere = tmp_path / "elsewhere"
    book.runs[1].folder.rename(elsewhere)
    book.runs[1].folder.symlink_to(elsewhere)
    audit = audited(book)
    assert codes(audit) == [("missing-run", book.runs[2].id)]
    assert codes(audit, breaking=False) == [("link", book.runs[1].id)]


def forged(run, prev=None, **plan):
    """Change the plan of a closed run, and make all hashes of its journal anew."""
    lines = []
    for line in run.path.read_text().splitlines():
        event = json.loads(line)
        if event["seq"] == 0:
            prev = event["prev"]
            event["data"]["plan"] |= plan
        event["prev"] = prev
        event.pop("hash")
        prev = event["hash"] = digest(canonical(event))
        lines.append(canonical(event))
    run.path.write_bytes(b"\n".join(lines) + b"\n")


STEPS = [
    ["x"],
    [None],
    "x",
    {"x": 1},
    [{"id": "restore.1", "action": "backup.restore", "params": "x"}],
    [{"id": "restore.1", "action": "backup.restore", "params": {"service": [], "from": []}}],
    [{"id": ["restore.1"], "action": ["backup.restore"], "effect": "read", "params": ["x"]}],
]


@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("genuine", [False, True])
def test_a_forged_plan_with_malformed_steps_harms_no_other_run(book, steps, genuine):
    whole, other = stories.quiet(book).runs[0], book.run("2026-06-10T09:00:00", drill="rehearse", text=REHEARSE, hosts=SITE)
    other.rehearsal().close()
    plan = json.loads(other.path.read_text().splitlines()[0])["data"]["plan"]
    forged(other, steps=steps)
    if genuine:
        text = other.path.read_text()
        first = json.loads(text.splitlines()[0])["data"]
        other.path.write_text(text.replace(first["plan_digest"], digest_of({**plan, "steps": steps})))
        forged(other)
    audit = audited(book)
    assert codes(audit) == [("unjudged", other.id)]
    assert [row.verdict for row in audit.runs if row.run != other.id] == ["passed"] * 3
    assert evidence(audit, whole).anchor
    assert content.as_data(audit)
    assert markdown.render(audit)
    assert html.render(audit)


PLANS = [
    {"inventory": []},
    {"inventory": "x"},
    {"inventory": {"services": ["x"]}},
    {"inventory": {"services": {"x": 1}}},
    {"objectives": {"rto": "x"}},
    {"objectives": {"rto": [1]}},
    {"objectives": ["x"]},
    {"inventory": {"services": {"site": {"kind": ["x"], "service": ["x"]}}}},
    {"owner": ["x"]},
    {"service": ["x"], "drill": None},
]


@pytest.mark.parametrize("plan", PLANS)
def test_a_forged_plan_with_another_malformed_part_harms_no_other_run(book, plan):
    stories.quiet(book)
    other = book.run("2026-06-10T09:00:00", drill="rehearse", text=REHEARSE, hosts=SITE).rehearsal().close()
    forged(other, **plan)
    audit = audited(book)
    assert audit.verdicts == {"passed": 3, "not verified": 1}
    assert content.as_data(audit)
    assert markdown.render(audit)
    assert html.render(audit)


def test_a_forged_plan_digest_proves_nothing(book):
    good = book.run("2026-01-10T09:00:00").good().close()
    plan = json.loads(good.path.read_text().splitlines()[0])["data"]["plan"]
    forged(good, objectives={**plan["objectives"], "rto": 3600.0})
    audit = audited(book)
    assert audit.verdicts == {"not verified": 1}
    assert "does not match the plan" in audit.runs[0].reason
    assert not any(row.proven for row in audit.proven)
