"""Sabotage is detected: each kind has a separate finding and an exit status other than 0."""

from __future__ import annotations

import boto3
import pytest
from botocore.config import Config

from drillbook.journal.run_state import RunState
from drillbook.judge.result import Verdict
from drillbook.lab.database import binaries
from drillbook.project.finished_runs import judged


def codes(view) -> set[str]:
    return {finding.code for finding in view.result.findings}


def store(bench):
    return boto3.client(
        "s3",
        endpoint_url=str(bench.value("s3.endpoint")),
        aws_access_key_id=bench.secret("s3_key"),
        aws_secret_access_key=bench.secret("s3_secret"),
        region_name="us-east-1",
        config=Config(proxies={}, s3={"addressing_style": "path"}),
    )


def largest_file(client, prefix):
    found = [
        item
        for page in client.get_paginator("list_objects_v2").paginate(Bucket="dr-backups", Prefix=prefix)
        for item in page.get("Contents", [])
        if not item["Key"].endswith("/manifest.json")
    ]
    return max(found, key=lambda item: item["Size"])


def when(kind, step, act):
    """Observer that acts once, while the run waits."""
    done = []

    def observe(event):
        if event.kind == kind and (event.step == step or event.data.get("phase") == step) and not done:
            done.append(event)
            act(event)

    return observe


def rewrite(bench, change):
    def act(event):
        client = store(bench)
        item = largest_file(client, f"{bench.run_id}/")
        body = client.get_object(Bucket="dr-backups", Key=item["Key"])["Body"].read()
        saved.append((item["Key"], body))
        client.put_object(Bucket="dr-backups", Key=item["Key"], Body=change(body))

    saved: list[tuple[str, bytes]] = []
    act.saved = saved
    return act


def began(view, phase) -> bool:
    return any(step.id.startswith(phase) and step.status != "skipped" for step in view.result.steps)


DAMAGE = pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda body: body[:-1000], "backup-size"),
        (lambda body: body[:500] + bytes([body[500] ^ 1]) + body[501:], "backup-digest"),
    ],
    ids=["truncated", "bit-flip"],
)


@DAMAGE
def test_a_dump_damaged_at_once_is_noticed_before_anything_is_broken(bench, change, code):
    act = rewrite(bench, change)
    _, view = bench.run(bench.plan("postgres-lost"), when("done", "backup.1", act))
    assert act.saved, "the sabotage took place"
    assert code in codes(view)
    assert (view.result.verdict, view.result.exit) == (Verdict.FAILED, 1)
    assert not began(view, "inject")


@DAMAGE
def test_a_dump_damaged_later_is_never_restored_and_recover_clears_it(bench, change, code):
    bench.spoiled = True
    act = rewrite(bench, change)
    folder, view = bench.run(bench.plan("postgres-lost"), when("done", "backup.2", act))
    assert act.saved, "the sabotage took place"
    assert code in codes(view)
    assert view.result.verdict is Verdict.FAILED
    assert view.result.exit == 5, "the data is lost and not restored: that is residue"
    for key, body in act.saved:
        store(bench).put_object(Bucket="dr-backups", Key=key, Body=body)
    assert bench.recover(folder) == []
    with bench.admin() as connection:
        assert connection.execute("SELECT count(*) FROM documents").fetchone()[0] >= 20_000
    assert judged(RunState(folder)).result.residue == ()


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("UPDATE documents SET title = title || '!' WHERE id = 7", "table-content"),
        ("DROP TABLE chunks CASCADE", "table-missing"),
        ("SELECT setval(pg_get_serial_sequence('documents', 'id'), 1)", "sequence-behind"),
        ("CREATE TABLE stray (n int)", "table-unexpected"),
        ("ALTER TABLE documents ADD CONSTRAINT odd CHECK (size >= 0)", "schema-differs"),
    ],
    ids=["row-changed", "table-missing", "sequence-behind", "table-unexpected", "schema-differs"],
)
def test_a_restore_that_is_not_equal_fails(bench, statement, code):
    bench.spoiled = True

    def act(event):
        with bench.admin() as connection:
            connection.execute(statement)

    _, view = bench.run(bench.plan("postgres-lost"), when("phase.started", "verify", act))
    assert code in codes(view), [finding.title for finding in view.result.findings]
    assert (view.result.verdict, view.result.exit) == (Verdict.FAILED, 1)


def test_a_restore_tool_that_says_0_with_errors_is_not_believed(bench):
    bench.spoiled = True
    tools = bench.project.root / "tools"
    tools.mkdir()
    for program in binaries().iterdir():
        (tools / program.name).symlink_to(program)
    real = binaries() / "pg_restore"
    (tools / "pg_restore").unlink()
    (tools / "pg_restore").write_text(
        f'#!/bin/sh\n{real} "$@"\necho "pg_restore: error: could not execute query: ERROR:  out of luck" >&2\nexit 0\n'
    )
    (tools / "pg_restore").chmod(0o755)
    bench.project.root.chmod(0o755)
    text = (bench.project.root / "inventory" / "lab.yml").read_text()
    changed = text.replace("    unit: postgresql\n", f"    unit: postgresql\n    bin: {tools}\n", 1)
    assert changed != text
    (bench.project.root / "inventory" / "odd.yml").write_text(changed)
    odd = bench.project.inventory("odd")
    _, view = bench.run(bench.plan("postgres-lost", inventory=odd), inventory=odd)
    assert "restore-errors" in codes(view), view.result.reason
    assert view.result.verdict is Verdict.FAILED
    assert view.result.exit != 0


def test_an_objective_impossibly_low_fails(bench):
    plan = bench.plan("api-down", ("rto: 30s", "rto: 1ms"))
    _, view = bench.run(plan)
    assert "objective-missed" in codes(view)
    assert (view.result.verdict, view.result.exit) == (Verdict.FAILED, 1)


def test_a_probe_at_a_dead_port_is_inconclusive_and_breaks_nothing(bench):
    plan = bench.plan(
        "api-down",
        ('"{{ services.api.url }}/health", every: 100ms, timeout: 1s', '"http://127.0.0.1:9/health", every: 100ms'),
    )
    _, view = bench.run(plan)
    assert "probe-never-good" in codes(view)
    assert (view.result.verdict, view.result.exit) == (Verdict.INCONCLUSIVE, 3)
    assert not began(view, "inject")


def test_wrong_store_credentials_are_refused_before_anything_is_touched(bench, tmp_path):
    (tmp_path / "wrong").write_text("not-the-secret-key")
    text = (
        (bench.project.root / "inventory" / "lab.yml")
        .read_text()
        .replace("secret_key: !lab_secret s3_secret", f"secret_key: !file {tmp_path / 'wrong'}")
    )
    (bench.project.root / "inventory" / "wrong.yml").write_text(text)
    wrong = bench.project.inventory("wrong")
    _, view = bench.run(bench.plan("postgres-lost", inventory=wrong), inventory=wrong)
    assert "not-ready" in codes(view)
    assert (view.result.verdict, view.result.exit) == (Verdict.REFUSED, 4)
    assert not began(view, "backup")
