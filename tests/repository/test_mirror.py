"""Places of tests: in the folder of the package under test, in a file with the name of its module."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS, SOURCE = ROOT / "tests", ROOT / "src" / "drillbook"
GROUND = "ground"
ELSEWHERE = {
    "corpus": "broken drills, inventories and backups, and what is said of each",
    "docker": "the Docker lab as a whole; the actions on containers are in systems/docker",
    "e2e": "whole drills on a real lab",
    "golden": "files that reports and old runs are compared with",
    "estate": "drills on Debian hosts as a team has them, behind a bastion",
    GROUND: "values, errors, encodings, redact and atomic_file: modules without a package",
    "machine": "a pretended system and hosts of memory, for whatever runs drills",
    "matrix": "controllers that are killed in the middle of whole drills",
    "plugins": "systems from elsewhere, from the distribution to the audit",
    "repository": "the repository itself: layers, pages, hooks, CI, and where tests lie",
    "systemd": "whatever needs a machine that a real systemd rules",
}
"""Folders that match no package, each with its content."""
_KINDS = "models alone; test_kinds.py: words and readers; tests/journal/test_other_versions.py: each from the disk"
_TABLE = "words alone; test_kind.py: each code with its words"
WHOLE = {
    "attestation": {
        "place_contract.py": "an interface alone; test_anchor_places.py and test_bucket.py: each place of anchors"
    },
    "audit": {
        "alert_causes.py": "test_briefing.py, test_gaps.py and test_missed_drills.py: what needs attention, in its order",
        "evidence_rows.py": "test_content.py and test_chain.py: digests, and runs that confirm a journal",
        "formats.py": "test_rendering.py: every file of an audit",
        "html.py": "test_rendering.py and test_screen.py: the page of an audit",
        "lost_amounts.py": "test_repeat_steps.py: entries about lost data tell how much",
        "markdown.py": "test_rendering.py: it tells the same as the page",
        "markdown_proven.py": "test_objective_states.py: objectives in every format",
        "printed_summary.py": "test_summary.py and test_paper.py: what fits on one page, and what alerts and terms are left out",
        "records.py": "test_chain.py: journals that were changed, cut, copied or removed",
        "reservations.py": "test_gaps.py and test_told_of_runs.py: each reservation, with its next step",
        "service_row.py": "test_summary.py and test_service_groups.py: state and figures of one service",
        "summary_layout.py": "test_summary.py: what fits on one page, and what is linked",
        "summary_terms.py": "test_summary.py: terms of the page, and those that paper leaves out",
        "timelines.py": "test_missed_drills.py and test_content.py: the runs of each drill over time",
        "unproven_reasons.py": "test_summary.py: each objective that is not proven has its reason on paper",
        "wording.py": "test_assurance.py and test_lost_rows.py: sentences of the audit and of its summary",
    },
    "campaign": {
        "artefacts.py": "tests/cli/test_campaign_matrix.py: what CI jobs left is found by attempt, and collected",
        "executor.py": "an interface alone",
        "job.py": "one model alone",
    },
    "catalog": {},
    "cli": {
        "__main__.py": "test_compiled_modules.py: it starts the program",
        "audit.py": "tests/audit/test_rendering.py, test_read_once.py: the files of an audit, and one reading of every run",
        "campaign_approve.py": "tests/campaign/test_approved.py: one approval of the plans of all sites",
        "campaign_task.py": "tests/campaign/test_fleet.py: campaigns on workers and on this machine, and schedulers that are refused",
        "catalog_task.py": "test_show_catalog.py and test_task_class.py: the list on each terminal, and as JSON",
        "close_residue.py": "tests/engine/test_closure.py: runs that are closed, and runs that are not",
        "due_steps.py": "test_due.py, test_due_unfinished.py: the commands that are suggested, the most urgent first",
        "developer_tasks.py": "test_task_class.py and tests/repository/test_docs.py: their help, and the pages that they make",
        "init_task.py": "test_scaffold.py, test_rehearsal_project.py, test_host_examination.py: each kind of new project",
        "lab_tasks.py": "tests/repository/test_tutorial.py: a lab that is started and removed",
        "labs.py": "test_diagnose.py and tests/repository/test_tutorial.py: a lab that is down, started and removed",
        "looked_project.py": "test_host_examination.py: the inventory and the drills of services that were found",
        "lost_record.py": "tests/engine/test_record_lost.py, tests/engine/test_runner.py: runs whose record was taken away",
        "metrics_tasks.py": "test_write_metrics.py: metrics in a file and on the standard output",
        "orchestration.py": "test_tasks.py, tests/engine/test_runner.py: runs and suites from their start to their signed report",
        "program.py": "test_tasks.py, test_start_up.py: exit statuses, readers that leave, and what a task imports",
        "repetitions.py": "test_overview.py: what must run again, and its command",
        "render.py": "test_read_once.py, tests/attestation/test_sign_runs.py: reports that are made and signed again",
        "retire.py": "tests/project/test_retirements.py: what can be retired, by whom, and what cannot",
        "run_campaign.py": "tests/campaign/test_processes.py, tests/campaign/test_continuing.py: campaigns that end, break off and go on",
        "run_trace.py": "tests/telemetry/test_trace_option.py: traces of a drill and of a suite that arrive at a collector",
        "recover_task.py": "test_recover.py and tests/engine/test_closure.py: recoveries, and closings of residue",
        "runbook_task.py": "test_make_runbook.py: the runbook of a drill on the standard output and in a file",
        "schedule_tasks.py": "test_due.py, test_scheduled.py, test_timers.py: what is due, started, and left to a timer",
        "show_check.py": "test_check.py, test_needed_extras.py: all problems of a drill and of a suite at once",
        "site_approvals.py": "tests/campaign/test_approved.py: approvals that expired, and approvals that were renewed",
        "site_plans.py": "tests/campaign/test_approved.py: the plans of all sites, and a site with another plan",
        "ask_trust.py": "tests/trust/test_pull_request.py: trust that is shown, asked for, taken back and lost by a change",
        "trust_task.py": "tests/trust/test_pull_request.py: the task with each of its options",
        "verify.py": "tests/attestation/test_run_verification.py: each statement about a run, also as JSON",
    },
    "diagnosis": {"host_needs.py": "words alone", "tree.py": "models alone"},
    "engine": {
        "later_commands.py": "tests/systemd/test_refusals.py: sudoers files that forbid one later command of a drill",
        "restored_elsewhere.py": "tests/e2e/test_wrong_runbook.py and tests/e2e/test_own_runbook.py: drills that only restore",
        "unfinished_runs.py": "test_lock_holder.py: a dead run holds the lock; test_recovery.py: runs that are not finished or damaged",
        "source_gate.py": "tests/e2e/test_own_backups.py: backups that are too old, changed, or of another folder",
        "vouching.py": "tests/sdk/test_manifest_signatures.py: backups with and without a trusted signature",
    },
    "events": {
        "campaigns.py": _KINDS,
        "holds.py": _KINDS,
        "probes.py": _KINDS,
        "runs.py": _KINDS,
        "session.py": "types alone",
        "steps.py": _KINDS,
    },
    "findings": {
        "backups.py": _TABLE,
        "content.py": _TABLE,
        "runs.py": _TABLE,
        "services.py": _TABLE,
    },
    GROUND: {
        "exits.py": "numbers alone; tests/repository/test_exits.py: each stands on its page, and no other number in the tasks"
    },
    "hosts": {
        "atomic.py": "test_hosts.py: files on every kind of host; test_files.py: on a server without SFTP",
        "fake.py": "test_hosts.py: it keeps the contract of all hosts",
        "ssh/reading_commands.py": "test_reading_shell.py: scripts that certainly read, and others",
        "ssh/tunnel.py": "test_hosts.py: forwarding to ports and sockets on every kind of host",
    },
    "installation": {},
    "inventory": {"controller.py": "one name alone"},
    "journal": {"run_files.py": "names alone"},
    "judge": {
        "capacity.py": "test_size_points.py and test_outlook.py: points and predictions, which it only joins",
        "changes.py": "models alone",
        "diagnosis.py": "tests/report/test_diagnosis.py: it copies the facts of one step",
        "early_end.py": "test_findings.py and test_verdict.py: runs that ended early",
        "figures.py": "test_clocks.py: it holds the clocks with their errors",
        "lock_state.py": "one model alone",
        "locks.py": "test_notes.py: locks of a run and their release",
        "recovered_later.py": "words alone",
        "recovery_record.py": "models alone; test_recoveries.py: from the events of journals",
        "result.py": "models alone; tests/golden has their form",
        "samples.py": "test_rto.py and test_rpo.py: samples and writes are their input",
    },
    "lab": {
        "app/__main__.py": "test_settings.py: starts that cannot succeed, each with its status",
        "app/allocations.py": "tests/systems/linux/actions/process/test_allocations.py: its route and its traces",
        "app/objects.py": "test_api.py: an original is read from the store by its key",
        "containers/engine.py": "tests/docker/test_lab.py: an engine, none, and what a lab left in one",
        "daemon.py": "test_control.py: a daemon that is killed, and one that is stopped",
        "monitoring.py": "tests/systems/prometheus/test_rules.py: its rules; test_diagnosis_on_lab.py: its programs",
        "qdrant_collection.py": "test_qdrant_stand_in.py: collections through their REST API",
        "qdrant_snapshots.py": "tests/systems/qdrant: snapshots that are made, damaged and restored",
        "serve.py": "test_control.py: starts of a lab, also after a crash",
    },
    "language": {},
    "notify": {},
    "plan": {
        "closure_approval.py": "tests/engine/test_closure.py: approvals to close a run, and approvals that close nothing",
        "drill_keys.py": "models alone; test_spec.py: files whose keys are right, wrong, or missing",
        "keywords.py": "models alone; test_planner_cases.py: every key of a step and of a condition appears in the plan",
    },
    "project": {"due_row.py": "test_due.py and test_not_here.py: the rows of both"},
    "reference": {
        "backup_methods.py": "tests/repository/test_docs.py, tests/e2e/test_rehearsals.py: the table, from its record and from runs",
        "findings_page.py": "tests/repository/test_docs.py: the page of findings is current",
        "handbook/page.py": "test_results.py: the page of the handbook, from real runs and from its record",
        "needs_page.py": "tests/repository/test_docs.py: the page is that of the declarations",
        "pages.py": "tests/repository/test_docs.py, tests/plugins/test_plugin.py: every page is current, and knows plugins",
    },
    "report": {
        "formats.py": "test_golden.py: every file of every format",
        "growth.py": "tests/judge/test_outlook.py: growth that is steady, unsure, or not predicted",
        "index_entries.py": "test_index.py and test_index_attention.py: the entries that they list",
        "markdown_record.py": "test_run_record.py and test_golden.py: evidence, journal and unsigned lines",
        "markdown_steps.py": "test_markdown.py: facts in short, and details of steps that failed",
        "publish.py": "tests/cli/test_overview.py: the reports and the index of a project's runs",
        "restore_steps.py": "test_proven_restore.py and test_rehearsal_results.py: steps that restored a backup, and others",
        "suites.py": "test_agreement.py and test_marks.py: the drills of a suite in every format",
        "terminal/board.py": "test_live_view.py: the state that it shows while a run goes on",
        "terminal/drawing.py": "test_live_view.py: views on real terminals",
        "terminal/tables.py": "test_summary.py and test_suite_table.py: tables and states on real terminals",
        "wording.py": "test_headlines.py and test_remarks.py: sentences about the results of runs",
    },
    "sdk": {
        "backup_source.py": "test_source_contract.py: each source; tests/systems/backup/test_actions.py: the choice of a backup",
        "backup_writer.py": "tests/systems/postgres/test_physical.py: a set is there whole or not at all; tests/systems/files/test_backup.py: none is overwritten",
        "declaration.py": "test_discovery.py: systems that are found; tests/plugins/test_broken.py: wrong declarations",
        "earlier_results.py": "one model alone",
        "effect.py": "words alone",
        "fact_names.py": "names alone",
        "isolation.py": "test_sandbox.py: a sandbox without a network, its limits and its removal",
        "late_values.py": "test_action_unknown.py: parameters without a value yet",
        "login_check.py": "tests/systems/mariadb/test_login_check.py and tests/systems/redis/test_login_check.py: refused logins",
        "looks.py": "tests/cli/test_host_examination.py: services that are found on a host",
        "manager/right.py": "tests/systemd/test_units.py: an account that may not start a unit",
        "manager/unit.py": "test_supervisor.py: units that end at once, are restarted, or are waited for",
        "manual_move.py": "tests/cli/test_runbook_by_hand.py, tests/cli/test_pasted_runbook.py: copies moved into the service",
        "manual_restore.py": "tests/cli/test_runbook_by_hand.py, tests/cli/test_pasted_runbook.py: the commands of each source",
        "needs.py": "types alone; test_host_needs.py: needs of actions and of their systems",
        "nofollow.py": "tests/systems/files/test_links_of_others.py: paths whose parts another user replaces",
        "plugin_check.py": "tests/plugins/test_broken.py: what is wrong in any module of a plugin",
        "plugin_loading.py": "tests/plugins/test_broken.py: each mistake is one error that names the plugin",
        "random_names.py": "tests/hosts/test_sudoers.py: names that a rule of sudo recognises",
        "record_canary.py": "tests/systems/command/test_probes.py, tests/systems/http/test_canary.py: canaries of records",
        "rehearsal.py": "tests/cli/test_rehearsal_project.py: each template; tests/plugins/test_broken.py: wrong ones",
        "s3client.py": "test_deadline.py and test_answer_limits.py: connections that are closed, and answers that are too large",
        "shell_functions.py": "one type alone; tests/hosts/test_reading_shell.py: shells that stay open",
        "temporary_unit.py": "tests/systems/units/test_refused.py: units that run already, or are unknown",
        "transfer.py": "tests/systems/files/test_backup.py: archives in a store, whole and damaged; test_host_encryption.py: encrypted ones",
        "undo.py": "one model alone",
    },
    "signing": {},
    "statistics": {},
    "systems/ansible": {"host_needs.py": "words alone"},
    "systems/backup": {"host_needs.py": "words alone"},
    "systems/capacity": {"host_needs.py": "words alone"},
    "systems/command": {"host_needs.py": "words alone", "service.py": "one model alone"},
    "systems/content": {"host_needs.py": "words alone"},
    "systems/docker": {
        "actions/fields.py": "test_faults.py and test_reading.py: containers that are absent, stopped, or gone at their end",
        "host_needs.py": "words alone",
        "manifest.py": "models alone",
        "service.py": "one model alone",
    },
    "systems/files": {
        "actions/fields.py": "test_disappearance.py and test_refused.py: paths that no drill may touch",
        "compare.py": "test_archives.py: each difference in type, owner, attributes and content",
        "content.py": "test_archives.py: entries of every type; tests/sdk/test_answer_limits.py: lists that are too long",
        "deletion_program.py": "test_loss_and_damage.py: deletions that end half-way, are killed, or meet a mount",
        "host_needs.py": "words alone",
        "identity.py": "tests/e2e/test_identity.py: whose files a backup and a folder are",
        "in_place.py": "tests/systems/restic/test_in_place.py: folders that a backup restores in their place",
        "survey_program.py": "test_archives.py: each difference in type, owner, attributes and content",
    },
    "systems/http": {
        "actions/fields.py": "test_responses.py: requests, and the facts of their answers",
        "exchange.py": "test_flow.py and test_canary.py: requests with saved values, and unexpected answers",
        "host_needs.py": "words alone",
        "looks.py": "tests/cli/test_host_examination.py: servers that are recognised, and what they answer",
        "requestlog.py": "test_logged_requests.py: logs that are rotated, too long, or in another zone",
        "service.py": "it only names the model of the sdk",
    },
    "systems/linux": {
        "actions/network/fields.py": "tests/systems/linux/actions/network/test_lockout.py: fields that lock out, or select nothing",
        "capturing.py": "tests/systems/linux/actions/network/test_reading.py: captures, and why tcpdump cannot make one",
        "faultstate.py": "tests/systems/linux/actions/process/test_faults.py: the state of faults that broke off",
        "fault_helper.py": "test_resource.py and test_port.py: faults that it keeps up, and their end",
        "host_needs.py": "words alone",
        "spying.py": "tests/systems/linux/actions/process/test_profiles.py: py-spy, its absence, and processes that it cannot read",
    },
    "systems/manual": {},
    "systems/mariadb": {
        "actions/faults.py": "test_in_place.py: databases that are lost, and those that may not be",
        "actions/fields.py": "types of fields alone",
        "exchange.py": "test_in_place.py: data directories that are exchanged, and put back at every stage",
        "host_needs.py": "words alone",
        "identity.py": "test_in_place.py: the fault and the restore have the same subject",
        "looks.py": "tests/cli/test_host_examination.py: a server that is found on a host",
        "manual_restore.py": "tests/e2e/test_manual_restore.py, tests/cli/test_pasted_runbook.py: its commands, typed into a shell",
    },
    "systems/pgbackrest": {
        "repository.py": "test_source.py and test_damage.py: backups with their newest moment, and stanzas that are absent or damaged"
    },
    "systems/postgres": {
        "actions/backup/wal_receiver.py": "test_wal.py: receivers that lag, exit, or are stopped",
        "actions/reading/health.py": "test_actions.py and test_preflight.py: its facts, and the right that it needs",
        "amcheck.py": "test_integrity.py: damaged indexes and tables, an extension that is borrowed, collations",
        "cluster_mark.py": "test_after_restore.py: clusters of a run, of another one, and of none",
        "host_needs.py": "words alone",
        "in_place.py": "test_dump_in_place.py, tests/systems/pgbackrest/test_in_place.py: dumps and archives restored in place",
        "looks.py": "tests/cli/test_host_examination.py: clusters that are found on a host",
        "manual_restore.py": "tests/e2e/test_manual_restore.py, tests/cli/test_pasted_runbook.py: its commands, typed into a shell",
        "privileges.py": "test_definition_compare.py: grants that were changed, also on objects of the server and of extensions",
        "received_wal.py": "test_cluster_recovery.py: received WAL that is whole, lacks a segment, or holds a damaged one",
        "replication_rights.py": "test_sessions.py and test_wal.py: rights, settings and slots of a server",
        "structure_queries.py": "test_definition_compare.py: a copy without a difference, and kinds of objects that were changed",
        "varying_arguments.py": "tests/sdk/test_varying_arguments.py: names of snapshots that rules of sudo allow",
    },
    "systems/prometheus": {"host_needs.py": "words alone", "service.py": "models alone"},
    "systems/qdrant": {
        "actions/fields.py": "types of fields alone; test_points.py: the ids that they take",
        "host_needs.py": "words alone",
    },
    "systems/redis": {
        "actions/fields.py": "types of fields alone",
        "disposable_server/sandboxed.py": "test_rdb_source.py, test_aof_source.py, test_hostile_files.py: it loads their backups, and refuses",
        "host_needs.py": "words alone",
        "looks.py": "tests/cli/test_host_examination.py: a server that is found on a host",
        "manual_restore.py": "tests/e2e/test_manual_restore.py, tests/cli/test_pasted_runbook.py: its commands, typed into a shell",
    },
    "systems/restic": {
        "manual_restore.py": "tests/e2e/test_manual_restore.py, tests/cli/test_pasted_runbook.py: its commands, typed into a shell"
    },
    "systems/s3": {
        "host_needs.py": "words alone",
        "service.py": "one name alone, of a model in the SDK",
    },
    "systems/sql": {},
    "systems/sqlite": {
        "manual_restore.py": "tests/e2e/test_manual_restore.py, tests/cli/test_pasted_runbook.py: its commands, typed into a shell"
    },
    "systems/tar": {
        "manual_restore.py": "tests/e2e/test_manual_restore.py, tests/cli/test_pasted_runbook.py: its commands, typed into a shell"
    },
    "systems/units": {"host_needs.py": "words alone"},
    "telemetry": {},
    "trust": {"shipped.py": "digests alone; test_items.py: they are those of the files that ship"},
}
"""
Every package, every system as ``systems/<name>``, and the modules without a package, each with its exceptions: modules without
a file of tests with their name, with the files that show their behaviour, or why there is none. See decision 12.
"""
LEAST = 0.78
"""Share of all modules with a file of their name (706 of 896 on 2026-12-01); raise it with new files."""
FILES = sorted(TESTS.rglob("test_*.py"))
FOLDERS = sorted(
    {path.parent for path in FILES} | {path for path in TESTS.iterdir() if path.is_dir() and path.name != "__pycache__"}
)


def inside(path):
    """The path of a test below tests, or of a module below the source."""
    return path.relative_to(TESTS if path.is_relative_to(TESTS) else SOURCE)


def room(path):
    """The package of a path: one of ``src/drillbook``, or one system."""
    parts = inside(path).parts
    return parts[:2] if parts[0] == "systems" and len(parts) > 2 else parts[:1]


def modules():
    """Names of all modules and packages, each with its package."""
    for path in SOURCE.rglob("*.py"):
        named = path.parent if path.name == "__init__.py" else path
        if named != SOURCE:
            yield named.stem, (GROUND,) if named.parent == SOURCE and named == path else room(path)


MODULES = sorted(set(modules()))


def test_no_test_lies_flat():
    assert [path.name for path in FILES if path.parent == TESTS] == []


@pytest.mark.parametrize("folder", [str(inside(folder)) for folder in FOLDERS])
def test_a_folder_of_tests_is_one_of_the_source_or_says_why_not(folder):
    first = folder.split("/")[0]
    if first not in ELSEWHERE:
        assert (SOURCE / folder / "__init__.py").is_file(), f"no package {folder}; what else it is stands in ELSEWHERE"


def test_what_is_named_after_no_package_is_there_and_no_package():
    assert [name for name in ELSEWHERE if not (TESTS / name).is_dir()] == []
    assert [name for name in ELSEWHERE if (SOURCE / name).exists()] == []


@pytest.mark.parametrize("path", [path for path in FILES if room(path)[0] not in ELSEWHERE.keys() - {GROUND}], ids=inside)
def test_a_file_is_named_after_a_module_of_its_package_or_after_none(path):
    """`test_lock_cases.py` tests `lock`; a test of several modules has a name that no module has."""
    name, own = path.stem.removeprefix("test_"), room(path)
    if any(name == module or name.startswith(f"{module}_") for module, where in MODULES if where == own):
        return
    others = ["/".join(where) for module, where in MODULES if module.rstrip("s") == name.rstrip("s")]
    assert others == [], f"{inside(path)} is named after a module of {others}: move it there, or rename it"


OWN = {(room(path), path.stem.removeprefix("test_")) for path in FILES}


def has_a_file(path):
    """Return True if the tests of the module's package have a file with its name, or with its name and a part."""
    where = (GROUND,) if path.parent == SOURCE else room(path)
    return any(own == where and (name == path.stem or name.startswith(f"{path.stem}_")) for own, name in OWN)


SINGLE = [path for path in sorted(SOURCE.rglob("*.py")) if path.name != "__init__.py"]


def test_every_package_is_listed():
    assert {GROUND if path.parent == SOURCE else "/".join(room(path)) for path in SINGLE} == set(WHOLE)


@pytest.mark.parametrize("package", WHOLE)
def test_the_modules_of_a_package_have_files_of_their_own(package):
    folder = SOURCE if package == GROUND else SOURCE / package
    own = [path for path in SINGLE if (path.parent == SOURCE if package == GROUND else path.is_relative_to(folder))]
    assert own, f"there is no package {package}"
    without = {path.relative_to(folder).as_posix() for path in own if not has_a_file(path)}
    assert without == set(WHOLE[package]), "write a file of tests, or say in WHOLE which one shows the module"


SHOWN = [(package, module, reason) for package, shown in WHOLE.items() for module, reason in shown.items()]


@pytest.mark.parametrize(("package", "module", "reason"), SHOWN, ids=[f"{package}/{module}" for package, module, _ in SHOWN])
def test_the_files_that_show_a_module_are_there(package, module, reason):
    """A file is named from the folder of the package, or from the root of the repository."""
    for name in re.findall(r"[\w/]*\btest_\w+\.py", reason):
        assert (ROOT / name if "/" in name else TESTS / package / name).is_file(), f"there is no {name}"


def test_no_fewer_modules_have_files_of_their_own():
    share = sum(map(has_a_file, SINGLE)) / len(SINGLE)
    assert share >= LEAST, f"{share:.1%} of the modules have a file of tests with their name"
