"""Findings: what was wrong, in words that a person can act on, each with a stable code.

The catalogue below is the single source: title, severity and remedy of a code live here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Severity(StrEnum):
    """How much a finding weighs for the recovery."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Kind:
    """What a finding code stands for."""

    severity: Severity
    title: str
    remedy: str


class Finding(BaseModel):
    """One thing that was wrong: what was wanted, what was measured, where the evidence is, what to do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str
    severity: Severity
    title: str
    wanted: str = ""
    measured: str = ""
    evidence: tuple[str, ...] = Field(default=())
    remedy: str = ""
    step: str | None = None
    host: str | None = None


CRITICAL, HIGH, MEDIUM, LOW = Severity.CRITICAL, Severity.HIGH, Severity.MEDIUM, Severity.LOW

CATALOGUE: dict[str, Kind] = {
    # The backup and its way back
    "backup-missing": Kind(CRITICAL, "A file of the backup is not in the store",
        "Find out who deletes from the bucket (lifecycle rules, other jobs); keep backups under object lock."),
    "backup-size": Kind(CRITICAL, "A file of the backup has another size than when it was made",
        "Treat this backup as lost. Check the upload path and the store; take a new backup and verify it where it lies."),
    "backup-digest": Kind(CRITICAL, "A file of the backup has another content than when it was made",
        "Treat this backup as lost. The store or the path to it damages data: scrub the store, then take a new backup."),
    "backup-manifest": Kind(CRITICAL, "The backup's manifest cannot be trusted",
        "Compare the manifest's digest in the journal with the object in the store; take a new backup."),
    "backup-of-another": Kind(CRITICAL, "The backup is of another thing than the service",
        "Let the step name the service that the backup was taken of. Where the service was made anew since, take a new "
        "backup: what was made is another database, even under the old name."),
    "backup-unproven": Kind(CRITICAL, "No backup was proven of what would be destroyed, or restored from",
        "Let backup, proof, fault and restore name one service, and read one backup: the `location` that the backup step "
        "of this drill saves. A backup of an older version that does not say what it is of has to be taken anew."),
    "thing-replaced": Kind(CRITICAL, "Another thing stands where this run restored one",
        "Find out who replaced it, or which server answers there: what was verified is not what was restored."),
    "backup-too-old": Kind(HIGH, "The newest backup is too old",
        "Find out why no backup was taken since (schedule, disk, credentials), and take one now."),
    "wal-gap": Kind(CRITICAL, "The received log is not whole",
        "Nothing after the gap can be replayed. Find out who removes or damages segments, and take a new base backup."),
    "wal-behind": Kind(HIGH, "The received log is behind the server",
        "What is committed and not received is lost with the server: look at the load and the disk of who receives it."),
    "restore-errors": Kind(CRITICAL, "The restore tool reported errors",
        "Read the error lines in the evidence; a restore with errors is not a restore, whatever its exit status."),
    "restore-target": Kind(HIGH, "The restore's target is not clean",
        "Restore into an empty data directory or a database that does not exist yet."),
    # What came back
    "table-missing": Kind(CRITICAL, "A table of the backup is not in the restored database",
        "Check that the backup covers every schema, and that nobody drops tables after the restore."),
    "table-unexpected": Kind(MEDIUM, "The restored database holds a table that the backup does not know",
        "Something wrote to the database between restore and verification: keep clients out until it is verified."),
    "table-content": Kind(CRITICAL, "A table's content differs from the backup",
        "Compare row by row with a second restore. If a client wrote meanwhile, restore with `closed: true`."),
    "sequence-behind": Kind(HIGH, "A sequence stands behind its value in the backup",
        "Set it with setval() above the largest key, or new rows will collide; find out why the restore missed it."),
    "schema-differs": Kind(HIGH, "The schema differs from the backup",
        "Read the difference in the evidence: constraints, triggers, owners and grants do not come back by themselves."),
    "key-missing": Kind(CRITICAL, "A key of the backup is not in the restored keyspace",
        "Check for eviction (maxmemory) and for clients that delete; restore again with clients kept out."),
    "key-content": Kind(HIGH, "A key has another type, value or time of expiry than in the backup",
        "If a client wrote meanwhile, keep clients out until it is verified, or name the key under `ignore`."),
    "key-unexpected": Kind(LOW, "The restored keyspace holds a key that the backup does not know",
        "Something wrote between restore and verification: keep clients out, or name the key under `ignore`."),
    "vector-missing": Kind(HIGH, "A vector that must be there is not in the collection",
        "Index it: `qdrant.reconcile` brings it from a backup or from a query; find out which job failed to write it."),
    "vector-content": Kind(HIGH, "A vector or its payload is another than in the backup",
        "If a client wrote meanwhile, compare with a newer backup; else restore it with `qdrant.restore`."),
    "vector-unexpected": Kind(MEDIUM, "The collection holds a vector that nothing stands behind",
        "Searches find what is not there any more: delete it with `qdrant.reconcile`, and find out who left it."),
    "vector-config": Kind(CRITICAL, "The collection is made for other vectors than those of the backup",
        "Size and distance come from the model: restore into a collection of the backup's settings, or index anew."),
    "object-missing": Kind(CRITICAL, "An object is not in the store", "Restore it from a version or from the backup."),
    "object-content": Kind(CRITICAL, "An object has another content than expected",
        "Restore it from a version or from the backup; scrub the store."),
    "object-unexpected": Kind(LOW, "The store holds an object that the manifest does not know",
        "A client may have written it meanwhile; if nobody did, find out who did."),
    "object-no-version": Kind(CRITICAL, "An object has no version with the wanted content",
        "Versions are expired or were deleted: restore it from the copy with `s3.restore`, and check the lifecycle rules."),
    "file-missing": Kind(CRITICAL, "A file of the archive is not there", "Extract it from the archive."),
    "file-mode": Kind(HIGH, "A file has another type or other permissions than in the archive",
        "Set them with chmod; find out whether the extraction ran with `--same-permissions` and without an ACL above."),
    "file-owner": Kind(HIGH, "A file has another owner than in the archive",
        "Set it with chown; only root can extract files of several owners."),
    "file-link": Kind(HIGH, "A symbolic or hard link leads elsewhere than in the archive", "Make the link again."),
    "file-xattr": Kind(MEDIUM, "A file has other extended attributes than in the archive",
        "Set them with setfattr; check that the file system keeps them."),
    "file-time": Kind(LOW, "A file has another time of change than in the archive",
        "Harmless for most programs; backup tools and build tools look at it."),
    "file-unexpected": Kind(MEDIUM, "There is a file that the archive does not know",
        "Something wrote it since; if nobody did, find out who did."),
    "file-content": Kind(HIGH, "A file has another content than expected", "Restore it from the backup."),
    # The service as its clients see it
    "service-state": Kind(HIGH, "A service is not in the wanted state",
        "Look at the unit's log on its host; start it by hand with the service manager."),
    "port-state": Kind(HIGH, "A port is not in the wanted state",
        "Look whether the service listens there, and what stands between it and the controller."),
    "http-unexpected": Kind(HIGH, "An HTTP answer is not the expected one",
        "Send the same request by hand and follow the service's log."),
    "postgres-unhealthy": Kind(HIGH, "PostgreSQL does not serve as it should",
        "Read the server log in its data directory; check that it accepts connections and is not in recovery."),
    "redis-unhealthy": Kind(HIGH, "Redis does not serve as it should",
        "Read the server's log and INFO: role, loading, persistence and memory are beside this finding."),
    "diagnosis-wrong": Kind(HIGH, "The diagnosis did not name the cause that was injected",
        "Read what spoke for and against each cause, and what could not be looked at; then mend the tree or the access."),
    "verification-skipped": Kind(HIGH, "A verification was left out",
        "What was not looked at was not verified: take its `when` away, or give what it is meant for a drill of its own."),
    "not-confirmed": Kind(HIGH, "A person answered no", "Ask who answered what they saw; it stands beside the step."),
    "assumed-answer": Kind(LOW, "Nobody was asked: an answer was assumed",
        "Run the drill at a terminal when a person's look is meant to count."),
    "expectation": Kind(HIGH, "A step's result is not what the drill expects",
        "Compare the facts of the step with its `expect`."),
    "step-failed": Kind(HIGH, "A step failed", "Read the step's output in the evidence."),
    "not-ready": Kind(HIGH, "The system was not ready for the drill",
        "Put this right and run the drill again; nothing was touched."),
    "not-run-here": Kind(MEDIUM, "The drill was not run here: a service that it needs is not there",
        "Install what is named, and start the environment again; nothing was touched."),
    # The guard
    "guard-environment": Kind(MEDIUM, "The drill may not run in this environment",
        "Add the environment to `guard.environments` if the drill is meant for it."),
    "guard-window": Kind(MEDIUM, "It is outside the windows in which the drill may begin",
        "Wait for the next window, or change `guard.windows` with those who agreed on it."),
    "guard-confirm": Kind(MEDIUM, "The environment was not confirmed",
        "Run the drill again with `--confirm` and the name of the environment."),
    "approval-missing": Kind(MEDIUM, "Nobody has approved this plan",
        "Let somebody else approve it: `invoke drill.approve NAME`, and bring the two files below `approvals/` here."),
    "approval-changed": Kind(MEDIUM, "The plan was changed after it was approved",
        "Look at it with `invoke drill.plan NAME`, and let it be approved again: `invoke drill.approve NAME`."),
    "approval-expired": Kind(MEDIUM, "The approval's time is over",
        "Let it be approved again: `invoke drill.approve NAME`."),
    "approval-unknown-signer": Kind(HIGH, "The approval was signed by nobody who may approve",
        "Add the key to the inventory's `approvers` file, or let somebody in it approve."),
    "approval-bad-signature": Kind(HIGH, "The approval's signature does not fit its text",
        "Do not use it: find out who changed it, and let the plan be approved again."),
    "approval-by-operator": Kind(MEDIUM, "The operator approved their own drill",
        "Let another person approve it, or run it."),
    "approval-not-verified": Kind(HIGH, "The approval could not be verified",
        "Put right what the message says; without a verified approval nothing is run."),
    # The fault and the measurement
    "fault-unproven": Kind(HIGH, "The fault was not proven active",
        "The drill cannot show a recovery from a fault that may not have happened. Check the injection's output."),
    "fault-remains": Kind(CRITICAL, "The fault is still active after it was undone",
        "Undo it by hand as the residue section says, then run `invoke drill.recover`."),
    "probe-never-good": Kind(HIGH, "A probe was never good before the disruption",
        "The probe does not measure the service: check its address from the controller; nothing was injected."),
    "probe-bad-before": Kind(HIGH, "A probe was bad already before the fault",
        "What it measured is not the fault's alone: find out what was wrong before it, or what the backup interrupted."),
    "probe-failed": Kind(HIGH, "A probe could not do its work", "Read the probe's error; its figures are not verified."),
    "not-recovered": Kind(CRITICAL, "The service was not good again by the end of the verification",
        "Bring the service back by hand now; then find out which restore step did not do what it says."),
    "recovery-not-awaited": Kind(HIGH, "Nobody waited until the service was good again",
        "What the drill broke was put back, and the run ended before a probe saw the service good: look whether it is now."),
    "controller-suspended": Kind(HIGH, "The controller was suspended while it measured",
        "Its clock stood still meanwhile: keep the machine from sleeping while a drill runs, and run it again."),
    "controller-stalled": Kind(LOW, "The controller itself stood still while it listened for answers",
        "What it could not have heard counts as neither good nor bad: give it more of its processor, and look at its load."),
    "no-outage-seen": Kind(LOW, "The probe saw no outage, though the fault was active",
        "The service hid the fault, or the outage was shorter than the probe's interval."),
    "acknowledged-writes-lost": Kind(MEDIUM, "Acknowledged writes were lost",
        "Lower the loss with more frequent backups, WAL archiving or a synchronous standby."),
    "hole-in-survivors": Kind(CRITICAL, "Writes are missing from before the recovery point",
        "The restored data is not a state that ever existed: check that the backup used one snapshot."),
    "objective-missed": Kind(HIGH, "An objective was missed",
        "Shorten the slowest phase (see the timeline), or agree on an objective that holds."),
    "objective-not-verified": Kind(HIGH, "An objective could not be verified",
        "The reason is beside the figure; without a measurement an objective is never met."),
    # Guards, locks and leases
    "guard-tripped": Kind(HIGH, "A guard stopped the run",
        "Look at the system that the condition watches, before the drill is run again; what was broken was put back."),
    "lease-lapsed": Kind(HIGH, "A target reverted by itself, since it heard nothing from the controller",
        "Look at the network between controller and target, and at the controller's load, or lengthen `guard.lease`."),
    "lease-unrenewed": Kind(HIGH, "A target could not be reached for so long that it is about to revert by itself",
        "Find out why the controller lost it: network, load, or the target itself."),
    "lock-lost": Kind(HIGH, "The run lost its lock to another run while it was at work",
        "See why this controller stood still; when the other run has ended: `invoke drill.recover`."),
    "unfinished-run": Kind(HIGH, "A run before this one died or left something on the same hosts",
        "Recover it first: `invoke drill.recover`."),
    "locked": Kind(HIGH, "Another run holds the lock of the service",
        "Wait until it ends, or stop it with `invoke drill.stop`; one drill runs per service."),
    "lock-taken-over": Kind(LOW, "The lock was taken over from another run",
        "Look at that run: `invoke drill.recover` puts back what it left."),
    # Alerts
    "alert-missing": Kind(HIGH, "The expected alert did not come in time",
        "See in Prometheus whether the rule's expression has a value, how long its `for:` is, and that its target answers."),
    "alert-remains": Kind(HIGH, "The alert did not clear after the recovery",
        "Look at the alert's labels and value: either something is still wrong, or its window is longer than `within`."),
    # The end of the run
    "residue": Kind(CRITICAL, "Something could not be put back", "Run `invoke drill.recover`, or the commands shown."),
    "residue-active": Kind(CRITICAL, "A change is still there, so it is not closed",
        "Put it back: `invoke drill.recover`, or by hand as the report says; then close it."),
    "residue-unknown": Kind(HIGH, "Nobody can tell whether a change is still there",
        "Let its host answer, or look there by other means; without a proof a second person has to approve closing it."),
    "contact-not-told": Kind(LOW, "A contact could not be told of the run",
        "Tell them by other means now; then put right the service URL that their `notify` names, or the way to it."),
    "allowed-failure": Kind(LOW, "A step failed that the drill allows to fail", "The written reason is beside it."),
    "aborted": Kind(MEDIUM, "The run was stopped before its end", "Run the drill again when the reason is gone."),
}


def finding(code: str, *, wanted: str = "", measured: str = "", evidence: tuple[str, ...] = (), title: str = "",
            remedy: str = "", step: str | None = None, host: str | None = None) -> Finding:
    """A finding with title, severity and remedy from the catalogue.

    ``title`` adds the particular to the general title; ``remedy`` replaces the catalogue's. Raises KeyError for
    a code that is not in the catalogue.
    """
    kind = CATALOGUE[code]
    return Finding(code=code, severity=kind.severity, title=f"{kind.title}: {title}" if title else kind.title,
                   wanted=wanted, measured=measured, evidence=evidence, remedy=remedy or kind.remedy, step=step, host=host)
