"""Findings on backups and on the way back from them."""

from __future__ import annotations

from drillbook.findings.kind import CRITICAL, HIGH, Kind

FINDINGS: dict[str, Kind] = {
    # The backup and its way back
    "backup-missing": Kind(
        CRITICAL,
        "A file of the backup is not in the store",
        "Find out who deletes from the bucket (lifecycle rules, other jobs); keep backups under object lock.",
    ),
    "backup-size": Kind(
        CRITICAL,
        "A file of the backup has another size than when it was made",
        "Treat this backup as lost. Check the upload path and the store; take a new backup and verify it where it lies.",
    ),
    "backup-digest": Kind(
        CRITICAL,
        "A file of the backup has another content than when it was made",
        "Treat this backup as lost. The store or the path to it damages data: scrub the store, then take a new backup.",
    ),
    "backup-manifest": Kind(
        CRITICAL,
        "The backup's manifest cannot be trusted",
        "Compare the manifest's digest in the journal with the object in the store; take a new backup.",
    ),
    "backup-of-another": Kind(
        CRITICAL,
        "The backup is of another thing than the service",
        "Let the step name the service that the backup was taken of. Where the service was made anew since, take a new "
        "backup: what was made is another database, even under the old name.",
    ),
    "backup-unproven": Kind(
        CRITICAL,
        "No backup was proven of what would be destroyed, or restored from",
        "Let backup, proof, fault and restore name one service, and read one backup: the `location` that the backup step "
        "of this drill saves. A backup of an older version that does not say what it is of has to be taken anew.",
    ),
    "thing-replaced": Kind(
        CRITICAL,
        "Another thing stands where this run restored one",
        "Find out who replaced it, or which server answers there: what was verified is not what was restored.",
    ),
    "backup-too-old": Kind(
        HIGH,
        "The newest backup is too old",
        "Find out why no backup was taken since (schedule, disk, credentials), and take one now.",
    ),
    "wal-gap": Kind(
        CRITICAL,
        "The received log is not whole",
        "Nothing after the gap can be replayed. Find out who removes or damages segments, and take a new base backup.",
    ),
    "wal-behind": Kind(
        HIGH,
        "The received log is behind the server",
        "What is committed and not received is lost with the server: look at the load and the disk of who receives it.",
    ),
    "restore-errors": Kind(
        CRITICAL,
        "The restore tool reported errors",
        "Read the error lines in the evidence; a restore with errors is not a restore, whatever its exit status.",
    ),
    "restore-target": Kind(
        HIGH,
        "The restore's target is not clean",
        "Restore into an empty data directory or a database that does not exist yet.",
    ),
}
