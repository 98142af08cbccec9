"""A command with endless output uses at most its budget of the controller's disk, and the report says so."""

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from drillbook.errors import CouldNotVerify
from drillbook.hosts.fake import FakeHost, Reply
from drillbook.hosts.local import LocalHost
from drillbook.redact import Redactor
from drillbook.report.run_record import evidence_rows
from drillbook.sdk import evidence_file
from drillbook.sdk.action import Context
from drillbook.sdk.host import Deadline, Target
from drillbook.systems.command.actions import Run
from drillbook.systems.linux import capturing
from drillbook.systems.linux.packets import Capture
from tests.report import samples

MIB = 1 << 20


@pytest.fixture
def ctx(tmp_path, monkeypatch):
    monkeypatch.setattr(evidence_file, "MOST_FILE", 8 * MIB, raising=False)
    monkeypatch.setattr(evidence_file, "MOST_RUN", 20 * MIB, raising=False)
    host = LocalHost("db-1", target=Target(name="db-1", local=True))
    return Context(
        run_id="r",
        step="verify.1",
        host=host,
        services={},
        host_named=lambda name: host,
        deadline=Deadline.after(60),
        folder=tmp_path,
        redactor=Redactor(["a-secret-that-nobody-prints"]),
    )


PRINT = Run(argv=("timeout", "3", "yes", "a line of what it prints"), effect="read", keep=True, exit=(0, 124))


def test_what_a_command_prints_without_end_is_cut_and_the_facts_say_so(ctx):
    facts = PRINT.run(ctx)["evidence"]
    data = (ctx.folder / facts["file"]).read_bytes()
    end = b"\n[cut here by Drillbook after 8388608 bytes, which is the limit of an evidence file]\n"
    assert len(data) == 8 * MIB + len(end)
    assert data.endswith(end)
    assert facts["cut"] == "after 8388608 bytes, which is the limit of an evidence file"
    assert (facts["bytes"], facts["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())


def test_all_evidence_of_a_run_together_has_a_budget(ctx):
    facts = [PRINT.run(ctx)["evidence"] for _ in range(4)]
    total = sum(path.stat().st_size for path in (ctx.folder / "evidence").iterdir())
    assert total < 20 * MIB + 1000
    assert ["the evidence of a run is limited to 20971520" in one["cut"] for one in facts] == [False, False, True, True]


def test_what_a_recovery_must_know_is_written_all_the_same_and_never_cut(ctx):
    (ctx.folder / "evidence").mkdir()
    (ctx.folder / "evidence" / "other").write_bytes(b"x" * 20 * MIB)
    facts = ctx.evidence("rows.json", b"x" * MIB, sync=True)
    assert (ctx.folder / facts["file"]).read_bytes() == b"x" * MIB
    with pytest.raises(OSError, match="larger than 8388608 bytes"):
        ctx.evidence("rows.json", b"x" * 9 * MIB, sync=True)
    assert not Path(ctx.folder / "evidence" / "verify.1.db-1.rows.json~2").exists()


def test_a_report_says_which_evidence_is_cut():
    facts = {"evidence": {"file": "evidence/x", "sha256": "0" * 64, "bytes": 8 * MIB, "cut": "after 8388608 bytes"}}
    shown = samples.view(samples.result(findings=()), steps=(samples.step("verify.1", "command.run", facts=facts),))
    (row,) = evidence_rows(shown)
    assert row.size.endswith(", cut after 8388608 bytes")


def test_a_host_that_captures_more_than_it_was_asked_for_is_cut_off(ctx):
    host = FakeHost("db-1")
    host.on("sh", Reply(stdout=b"x" * 2000))
    with (
        ctx.evidence_stream("capture.pcap") as (writer, _),
        pytest.raises(CouldNotVerify, match="larger than the limit of 1000 bytes"),
    ):
        capturing.capture(replace(ctx, host=host), Capture(writer), seconds=1, size=1000, interface="lo", expression="tcp")
