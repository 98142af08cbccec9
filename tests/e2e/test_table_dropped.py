"""One table is lost under traffic: only this table is restored, and all other rows stay, including those newer than
the backup.
"""

import json
from contextlib import contextmanager

from drillbook.cli import diagnose as incident
from drillbook.diagnosis.run import Book
from drillbook.judge.result import Verdict
from drillbook.report import headlines, next_steps


class Witness:
    """Independent reader of the content of the other tables, at the drop and at the end."""

    def __init__(self, bench):
        self.bench, self.before, self.after = bench, {}, {}

    def look(self, found):
        with self.bench.admin() as session:
            for number, digest in session.execute("SELECT id, md5(ROW(id, title, sha256, metadata)::text) FROM documents"):
                found[number] = digest

    def __call__(self, event):
        if event.kind == "intent" and event.step.startswith("inject"):
            self.look(self.before)
            with self.bench.admin() as session:
                session.execute(
                    "INSERT INTO chunks (document_id, ordinal, content, token_count) "
                    "SELECT document_id, ordinal + 1000, content, token_count FROM chunks WHERE document_id = 1"
                )
        elif event.kind == "phase.ended" and event.data["phase"] == "verify":
            self.look(self.after)


def facts_of(view, step):
    return next(one.facts for one in view.result.steps if one.id == step)


def test_a_dropped_table_comes_back_alone(bench):
    witness = Witness(bench)
    folder, view = bench.run(bench.plan("table-dropped"), witness)
    result = view.result
    assert result.verdict is Verdict.PASSED, (result.reason, [one.title for one in result.findings])
    dropped, brought = facts_of(view, "inject.1"), facts_of(view, "restore.1")
    assert dropped["cascaded"] == ["view document_sizes"]
    assert {"public chunks", "public document_sizes", "public chunks_id_seq"} <= set(brought["relations"])
    missing = dropped["rows"] - brought["rows"]
    assert missing > 0, "at least the chunks that the witness wrote after the backup"
    (found,) = [one for one in result.findings if one.code == "removed-data-missing"]
    assert found.measured.startswith(f"{dropped['rows']} rows of public.chunks in database were removed, ")
    assert f": {missing} or more are missing" in found.measured
    assert f"t least {missing} of the {dropped['rows']} rows of public.chunks in database that" in headlines.sentence(view)
    assert facts_of(view, "verify.2") == {"tables": ["public.chunks"]}
    assert witness.before.items() <= witness.after.items(), "every document is as it was, also those since the backup"
    assert max(witness.before) > 24_000
    assert result.objectives["rpo"].lost_writes == 0
    assert next_steps.age_of_routine(view) is None, "the lab keeps no routine backups"
    (command,) = [
        command for said, command in next_steps.in_report(view) if "the lab keeps no routine backups of database" in said
    ]
    assert command.endswith(" drill routine-database --inventory NAME"), "the store has only backups of drills"
    assert result.clocks["outage_s"] > 0.3, "who reads documents saw it"
    assert json.loads((folder / "result.json").read_text())["exit"] == 0
    with bench.admin() as session:
        assert session.execute("SELECT count(*) FROM document_sizes WHERE chunks > 0").fetchone()[0] > 20_000
        assert session.execute("SELECT count(*) FROM pg_trigger WHERE tgname = 'drillbook_closed'").fetchone() == (0,)


def test_without_its_restore_the_table_is_residue_and_recover_brings_it_back(bench):
    """The controller is killed between drop and restore: the recovery restores the table from the journal alone."""
    from tests.e2e.test_interrupts import SLOW, start, wait_for

    text = bench.text("table-dropped").replace("restore:\n", f"restore:\n{SLOW}".replace("'30'", "'4'"))
    (bench.project.root / "drills" / "table-dropped.yml").write_text(text)
    process = start(bench, "table-dropped")
    folder = wait_for(bench, process, "step.started", "restore.1")
    process.kill()
    process.communicate()
    with bench.admin() as session:
        assert session.execute("SELECT to_regclass('public.chunks')").fetchone() == (None,)
    assert bench.recover(folder) == []
    assert bench.recover(folder) == []
    with bench.admin() as session:
        assert session.execute("SELECT count(*) FROM chunks").fetchone()[0] > 100_000
        assert session.execute("SELECT count(*) FROM pg_trigger WHERE tgname = 'drillbook_closed'").fetchone() == (0,)


NEW = """
WITH made AS (INSERT INTO documents (title, status, mime, size) VALUES ('new', 'completed', 'text/plain', 1) RETURNING id)
INSERT INTO chunks (document_id, ordinal, content) SELECT id, 1, 'x' FROM made RETURNING document_id
"""


BARE = "INSERT INTO documents (title, status, mime, size) VALUES ('bare', 'received', 'text/plain', {}) RETURNING id"


@contextmanager
def _empty_already(bench):
    """A completed document without chunks, from before the drill."""
    with bench.admin() as session:
        (number,) = session.execute(
            "INSERT INTO documents (title, status, mime, size) VALUES ('old', 'completed', 'text/plain', 1) RETURNING id"
        ).fetchone()
    try:
        yield number
    finally:
        with bench.admin() as session:
            session.execute("DELETE FROM documents WHERE id = %s", [number])


def test_documents_that_lose_their_chunks_do_not_stay_complete_and_the_lab_is_healthy_afterwards(bench):
    written, kept = [], []

    def write(event):
        with bench.admin() as session:
            if event.kind == "intent" and event.step.startswith("inject"):
                written.append(session.execute(NEW).fetchone()[0])
                kept.append(session.execute(BARE.format(0)).fetchone()[0])
            elif event.kind == "phase.ended" and event.data["phase"] == "inject":
                kept.append(session.execute(BARE.format(1)).fetchone()[0])

    with _empty_already(bench) as empty:
        _, view = bench.run(bench.plan("table-dropped"), write)
        assert view.result.verdict is Verdict.PASSED, view.result.reason
        marked = [number for (number,) in facts_of(view, "verify.3")["rows"]]
        assert set(written) <= set(marked)
        assert empty not in marked, "it was so before the drill, and a diagnosis must still find it"
        with bench.admin() as session:
            status = dict(
                session.execute("SELECT id, status FROM documents WHERE id = ANY (%s)", [[empty, *marked]]).fetchall()
            )
        assert len(kept) == 2
        assert not set(kept) & set(marked), "one has no text, and the other was received after the loss"
        assert status == dict.fromkeys(marked, "failed") | {empty: "completed"}
    (found,) = [one for one in view.result.findings if one.code == "removed-data-missing"]
    assert "look for records that refer to it" in found.remedy
    with incident.looking(Book(incident.trees(bench.project), bench.inventory)) as look:
        diagnosis = look(["database"], 60)
    assert diagnosis.found == "healthy", (diagnosis.ranked, diagnosis.why)
