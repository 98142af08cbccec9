"""Findings about backups and restores."""

from __future__ import annotations

from drillbook.findings.kind import CRITICAL, HIGH, LOW, MEDIUM, Kind

FINDINGS: dict[str, Kind] = {
    # Backups and restores
    "backup-missing": Kind(
        CRITICAL,
        "A file of the backup is missing in the store",
        "Find out who deletes from the bucket (lifecycle rules, other jobs); keep backups under object lock.",
    ),
    "backup-size": Kind(
        CRITICAL,
        "A file of the backup has another size than in the manifest",
        "Treat this backup as lost. Check the upload path and the store; take a new backup and verify it in the store.",
    ),
    "backup-digest": Kind(
        CRITICAL,
        "A file of the backup has other content than in the manifest",
        "Treat this backup as lost. The store or the path to it damages data: scrub the store, then take a new backup.",
    ),
    "backup-manifest": Kind(
        CRITICAL,
        "The backup's manifest is missing, invalid or not the expected one",
        "Compare the manifest's digest in the journal with the object in the store; take a new backup.",
    ),
    "backup-of-another": Kind(
        CRITICAL,
        "The backup is a backup of another service or database",
        "Name the service of the backup in the step. If the service was created again since the backup, take a new "
        "backup: the new database is a different one, even under the old name.",
    ),
    "backup-unproven": Kind(
        CRITICAL,
        "No backup of the data to be destroyed or restored was verified",
        "Backup, verification, fault and restore must name the same service and use the same backup: the `location` "
        "that the backup step of this drill saves. A backup taken by an older version of "
        "Drillbook does not record the identity of its data: take a new one.",
    ),
    "thing-replaced": Kind(
        CRITICAL,
        "The restored data was replaced after the restore",
        (
            "Find out who replaced the data, or which server answers at the address: the verified data is not the "
            "restored data."
        ),
    ),
    "backup-too-old": Kind(
        HIGH,
        "The newest backup is too old",
        "Find out why no newer backup was taken (schedule, disk, credentials), and take one now.",
    ),
    "backup-gap": Kind(
        MEDIUM,
        "A backup of the schedule is missing",
        "Find out why it was not taken, or who removed it: data loss in that gap would be larger than the schedule allows.",
    ),
    "backup-shrunken": Kind(
        HIGH,
        "The newest backup is much smaller than those before it",
        "Restore this backup and compare it with the service: the backup may lack a table, a database or a folder. If data was "
        "removed on purpose, the finding ends by itself as newer backups replace the larger ones.",
    ),
    "backup-grown": Kind(
        LOW,
        "The newest backup is much larger than those before it",
        "Find out what grew; check that the store and a restore's target have room for it.",
    ),
    "backup-ahead": Kind(
        HIGH,
        "A backup is dated in the future",
        "Compare the clocks of the server, of the host that takes the backups and of this machine. While one of "
        "them was wrong, a backup got a later time than its real one, and passes as the newest although it is older.",
    ),
    "backup-damaged": Kind(
        CRITICAL,
        "The backup cannot be read to its end",
        "Treat this backup as lost. Compare it with another copy, check the disk and the path to it, and take a new one.",
    ),
    "backup-key-lost": Kind(
        CRITICAL,
        "The configured key or password does not decrypt the backup",
        "Find the right key or password now, while the data still exists, and store it outside its host. Without it the "
        "backup is lost: take a new backup, with a key that is stored safely.",
    ),
    "backup-locked": Kind(
        HIGH,
        "The backup repository has an abandoned lock",
        "Find out which job died, and that none runs; then remove the lock with the tool itself (`restic unlock`). "
        "Drillbook never removes a lock. Until then no backups are pruned, and an exclusive lock stops new ones.",
    ),
    "backup-empty": Kind(
        CRITICAL,
        "The backup contains no data",
        "Find out what the backup job saved: an empty volume, another folder, or nothing because of missing permissions.",
    ),
    "backup-beside-data": Kind(
        HIGH,
        "The backups are on the disk of the data that they save",
        "Copy the backups to another host or to a store elsewhere: what destroys the disk destroys both.",
    ),
    "backup-incomplete": Kind(
        CRITICAL,
        "The backup leaves out part of what it should save",
        "Give the backup job's account the missing rights, repair what cannot be read, and take the backup with options "
        "that save definitions and rows, and that end the job at the first error.",
    ),
    "sandbox-lacks": Kind(
        HIGH,
        "The sandbox lacks software that the backup needs",
        "Install the extension's package or the locale on the sandbox's host. A new host for production would need it too.",
    ),
    "sandbox-too-small": Kind(
        HIGH,
        "The restored copy does not fit into the sandbox",
        "Raise `disk` or `memory` of the sandbox in the inventory, or free space on its host.",
    ),
    "sandbox-not-isolated": Kind(
        CRITICAL,
        "Programs in the sandbox can reach production",
        "Use `isolation: namespace`, or a host without a route to the addresses of the inventory. Nothing was restored.",
    ),
    "wal-gap": Kind(
        CRITICAL,
        "The received WAL is incomplete",
        "Nothing after the gap can be replayed. Find out who removes or damages segments, and take a new base backup.",
    ),
    "wal-behind": Kind(
        HIGH,
        "The received WAL is behind the server",
        "If the server is lost, so is the data that was not received: check the load and the disk of the WAL receiver.",
    ),
    "restore-errors": Kind(
        CRITICAL,
        "The restore tool reported errors",
        "Read the error lines in the evidence; a restore with errors counts as failed, whatever its exit status.",
    ),
    "restore-target": Kind(
        HIGH,
        "The restore's target is not clean",
        "Restore into an empty data directory or a database that does not exist yet.",
    ),
}
