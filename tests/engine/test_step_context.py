"""Context that a step receives from the state of its run: fences, proofs, deadlines, evidence and traces."""

import pytest

from drillbook.engine.provenance import Proven
from drillbook.engine.steps import carry_out
from drillbook.hosts.fake import Reply
from drillbook.redact import Redactor
from drillbook.sdk.host import Deadline
from drillbook.sdk.object_reference import Reference
from drillbook.telemetry.ids import traceparent
from tests.contents import content
from tests.engine.test_steps import FAULT
from tests.engine.test_steps_cases import HOSTS, Fencing, staged, step_of, told
from tests.machine.small import Small

PROBED = HOSTS.replace("other: {kind", 'web: {kind: http, host: a, url: "http://127.0.0.1:1"}, other: {kind')


@pytest.fixture
def small(tmp_path):
    return Small(tmp_path)


@pytest.mark.parametrize(("changes", "fault"), [(True, True), (True, False), (False, False)])
def test_only_what_changes_something_is_fenced(small, changes, fault):
    stage = staged(small, FAULT)
    stage.hold = Fencing()
    for host in small.hosts.values():
        host.on("fenced", Reply(0))
    asked = {"changes": True, "fault": fault} if changes else {}
    context = stage.context("inject.1", "a", Deadline.after(9), **asked)
    context.run("look")
    context.host_named("b").run(("look",), deadline=context.deadline)
    assert stage.hold.asked == ([("fence", "a", fault), ("fence", "b", fault)] if changes else [])
    assert [call.argv for host in small.hosts.values() for call in host.calls] == [
        ("fenced", "look") if changes else ("look",)
    ] * 2
    stage.hold = None
    stage.context("inject.1", "a", Deadline.after(9), changes=True).run("look")
    assert small.hosts["a"].calls[-1].argv == ("look",)
    stage.journal.close()


@pytest.mark.parametrize(
    ("effect", "fences"), [("read", []), ("write", [("fence", "a", False)]), ("fault", [("fence", "a", True)])]
)
def test_the_commands_of_a_step_are_fenced_as_its_effect_asks(small, effect, fences):
    proof = ", proof: [is, it]" if effect == "fault" else ""
    undo = "" if effect == "read" else ", undo: [mend, it]"
    phase = "inject" if effect == "fault" else "restore"
    stage = staged(small, f"{phase}:\n  - command.run: {{argv: [make, it], effect: {effect}{undo}{proof}}}\n    hosts: a\n")
    stage.hold = Fencing()
    small.hosts["a"].on("fenced", Reply(0))
    assert carry_out(stage, [step_of(stage, f"{phase}.1")]) is True
    stage.journal.close()
    assert [one for one in stage.hold.asked if one[0] == "fence"] == fences
    assert [call.argv[:1] for call in small.hosts["a"].calls] == (
        [("make",)] if effect == "read" else [("fenced",)] * (2 if effect == "fault" else 1)
    )


def test_an_undo_is_not_fenced_by_the_lease(small):
    """The target may have begun to revert: both would then undo the same change."""
    stage = staged(small, FAULT)
    stage.hold = Fencing()
    stage.context("inject.1", "a", Deadline.after(9), changes=True)
    assert stage.hold.asked == [("fence", "a", False)]
    stage.journal.close()


def test_what_an_action_is_given(small):
    stage = staged(small, FAULT)
    stage.redactor = Redactor(["hunter22"])
    deadline = Deadline.after(9)
    context = stage.context("inject.1", "a", deadline)
    assert (context.run_id, context.step, context.host.name, context.deadline) == ("run", "inject.1", "a", deadline)
    assert context.services == stage.plan.inventory.services
    assert context.hosts == stage.plan.inventory.hosts
    assert (context.folder, context.redactor) == (small.folder, stage.redactor)
    assert (context.book.inventory, context.traceparent, context.spares) == (stage.plan.inventory, "", False)
    context.note(content("remark", {"n": 1}))
    assert told(small, "remark") == [("inject.1", "a", {"n": 1})]
    stage.journal.close()


@pytest.mark.parametrize(
    ("patient", "breaks", "spares"), [(True, False, True), (True, True, False), (False, False, False), (False, True, False)]
)
def test_evidence_is_spared_once_something_is_broken_but_never_that_of_a_fault(small, patient, breaks, spares):
    stage = staged(small, FAULT)
    stage.journal.patient = patient
    assert stage.context("inject.1", "a", Deadline.after(9), breaks=breaks).spares is spares
    stage.journal.close()


@pytest.mark.parametrize(("effect", "good"), [("read", True), ("write", True), ("fault", False)])
def test_a_step_whose_evidence_cannot_be_kept_goes_on_once_something_is_broken_unless_it_breaks_more(small, effect, good):
    proof = ", undo: [mend, it], proof: [is, it]" if effect == "fault" else ""
    phase = "inject" if effect == "fault" else "restore"
    stage = staged(
        small, f"{phase}:\n  - command.run: {{argv: [look], keep: true, effect: {effect}{proof}}}\n    hosts: a\n"
    )
    small.hosts["a"].on("is", Reply(0))
    (small.folder / "evidence").write_text("no folder")
    stage.journal.patient = True
    assert carry_out(stage, [step_of(stage, f"{phase}.1")]) is good
    stage.journal.close()
    if good:
        ((_, _, data),) = told(small, "done")
        assert data["facts"]["evidence"]["file"].startswith("not kept: ")


def test_requests_belong_to_the_trace_of_their_step_and_host_and_those_of_a_probe_to_it_alone(small):
    text = "probes:\n" + '  - http.available: {url: "{{ services.web.url }}"}\n' * 2 + FAULT
    stage = staged(small, text, PROBED)
    assert stage.context("inject.1", "a", Deadline.after(9)).traceparent == ""
    stage.traced = "suite"
    assert stage.context("inject.1", "a", Deadline.after(9)).traceparent == traceparent(
        "run", "inject.1", "a", trace="suite"
    )
    assert stage.context("probe.1", "a", Deadline.after(9)).traceparent == traceparent("run", "probe.1", trace="suite")
    assert [one.id for one in stage.plan.probes] == ["probe.1", "probe.2"]
    stage.journal.close()


SERVED = HOSTS.replace("other: {kind", "db: {kind: redis, host: a}, twin: {kind: redis, host: b}, other: {kind")


def proofs(small, service="db", **more):
    stage = staged(small, "restore:\n", SERVED)
    step = stage.plan.steps[0]
    proof = step.model_copy(
        update={
            "id": "backup.1",
            "phase": "backup",
            "action": "redis.backup_intact",
            "proves_backup": True,
            "params": {"service": service},
            "when": None,
            "allow_failure": None,
            **more,
        }
    )
    fault = step.model_copy(
        update={"id": "inject.1", "phase": "inject", "action": "redis.lose_data", "params": {"service": "db"}}
    )
    stage.plan = stage.plan.model_copy(update={"steps": (proof, fault)})
    stage.journal.close()
    return stage


@pytest.mark.parametrize(
    ("how", "counts"),
    [
        ({}, True),
        ({"service": "twin"}, False),
        ({"when": "true"}, False),
        ({"allow_failure": "never mind"}, False),
        ({"proves_backup": False}, False),
        ({"phase": "verify"}, False),
    ],
)
def test_before_the_gate_a_proof_counts_that_is_sure_to_run_and_of_the_same_service(small, how, counts):
    stage = proofs(small, **how)
    context = stage.context("inject.1", "a", Deadline.after(9))
    assert context.proofs == ({"redis.backup_intact"} if counts else set())
    assert stage.context("nowhere.1", "a", Deadline.after(9)).proofs == set()


def test_after_the_gate_only_what_it_found_proven_for_this_fault_counts(small):
    stage = proofs(small)
    where = Reference.parse("s3://backups/x#sha256=" + "0" * 64)
    stage.provenance.proven += [Proven("db", where, "one.proof", "inject.1"), Proven("db", where, "other.proof", "inject.2")]
    assert stage.context("inject.1", "a", Deadline.after(9)).proofs == {"one.proof"}


def test_a_deadline_ends_with_the_flag_of_the_run(small):
    stage = staged(small, FAULT)
    deadline = stage.deadline(9)
    assert 8 < deadline.remaining() <= 9
    assert deadline.cancel is stage.cancel
    stage.journal.close()
