"""Findings about backups and restores."""

from __future__ import annotations

from drillbook.findings.kind import CRITICAL, HIGH, LOW, MEDIUM, Kind

FINDINGS: dict[str, Kind] = {
    # Backups and restores
    "backup-missing": Kind(
        CRITICAL,
        "A file of the backup is missing in the store",
        (
            "Find out what deletes objects from the bucket. It may be a lifecycle rule or another job. Keep "
            "backups under object lock."
        ),
    ),
    "backup-size": Kind(
        CRITICAL,
        "A file of the backup has another size than in the manifest",
        "Treat this backup as lost. Check the upload and the store. Take a new backup, and verify it in the store.",
    ),
    "backup-digest": Kind(
        CRITICAL,
        "The content of a file of the backup differs from the manifest",
        ("The store damages data, or the network to the store does. Scrub the store, and then take a new backup."),
    ),
    "backup-manifest": Kind(
        CRITICAL,
        "The manifest of the backup is missing, invalid, or not the expected one",
        "Compare the manifest in the store with the digest that the journal records. Take a new backup.",
    ),
    "backup-of-another": Kind(
        CRITICAL,
        "The backup belongs to another service or database",
        (
            "Write into the step the name of the service that was backed up. If the service was created again after the "
            "backup, take a new backup: the new database is a different one, even if it has the same name."
        ),
    ),
    "backup-unproven": Kind(
        CRITICAL,
        "A step destroys or restores data, but no backup of this data was verified",
        (
            "The steps for backup, verification, fault and restore must name the same service. The steps for verification "
            "and restore must also read the same backup: its `location` is a fact of the drill's backup step. A backup "
            "that an older version of Drillbook made does not contain the identity of its data. In this case, take a new "
            "backup."
        ),
    ),
    "thing-replaced": Kind(
        CRITICAL,
        "The restored data was replaced after the restore",
        (
            "Find out who replaced the data, or which server answers at the address. The verified data is not the "
            "restored data."
        ),
    ),
    "backup-too-old": Kind(
        HIGH,
        "The newest backup is too old",
        "Find out why no newer backup was taken (schedule, disk, credentials), and take a backup now.",
    ),
    "backup-gap": Kind(
        MEDIUM,
        "A backup that the schedule requires is missing",
        (
            "Find out why the backup was not taken, or who removed it. Without this backup, more data can be lost "
            "than the schedule intends."
        ),
    ),
    "backup-shrunken": Kind(
        HIGH,
        "The newest backup is much smaller than the backups before it",
        (
            "Restore this backup and compare it with the service, because the backup may lack a table, a database "
            "or a folder. If data was removed on purpose, this finding disappears once newer backups have replaced "
            "the larger ones."
        ),
    ),
    "backup-grown": Kind(
        LOW,
        "The newest backup is much larger than the backups before it",
        "Find out which data grew. Check that the store and the target of a restore have enough space for it.",
    ),
    "backup-ahead": Kind(
        HIGH,
        "The time of a backup is in the future",
        (
            "Compare the clocks of the server, of the host that takes the backups, and of the machine that runs "
            "Drillbook. If a clock was wrong, the recorded time of a backup may be too late. Such a backup counts as the "
            "newest, although other backups are newer."
        ),
    ),
    "backup-damaged": Kind(
        CRITICAL,
        "The backup cannot be read to its end",
        "Treat this backup as lost. Compare it with another copy. Check the disk of the backup and the network to "
        "it. Then take a new backup.",
    ),
    "backup-key-lost": Kind(
        CRITICAL,
        "The configured key or password does not decrypt the backup",
        (
            "Find the right key or password now, while the data still exists. Store it outside of the host of the "
            "backup. If nobody finds it, the backup is lost. Then take a new backup with a key that is stored "
            "safely."
        ),
    ),
    "backup-locked": Kind(
        HIGH,
        "The backup repository has an abandoned lock",
        (
            "Find out which job died, and make sure that no backup job is running. Then remove the lock with the backup "
            "tool (`restic unlock`). Drillbook never removes such a lock. While the lock exists, no backups are "
            "pruned, and an exclusive lock also prevents new backups."
        ),
    ),
    "backup-empty": Kind(
        CRITICAL,
        "The backup contains no data",
        (
            "Find out what the backup job saved. It may have saved an empty volume, another folder, or nothing "
            "because permissions were missing."
        ),
    ),
    "backup-beside-data": Kind(
        HIGH,
        "The backups are on the same disk as the data that they save",
        "Copy the backups to another host, or to a store elsewhere. An event that destroys the disk destroys both "
        "the data and its backups.",
    ),
    "backup-incomplete": Kind(
        CRITICAL,
        "The backup lacks a part of the data that it should contain",
        (
            "Give the account of the backup job the missing rights, and repair data that cannot be read. Then "
            "take the backup with options that save both definitions and rows, and that end the job at the first "
            "error."
        ),
    ),
    "sandbox-lacks": Kind(
        HIGH,
        "The sandbox lacks software that the backup needs",
        (
            "Install the package of the extension or of the locale on the sandbox's host. A new host for "
            "production would need the same package."
        ),
    ),
    "sandbox-too-small": Kind(
        HIGH,
        "The restored copy does not fit into the sandbox",
        "Raise `disk` or `memory` of the sandbox in the inventory, or free space on the sandbox's host.",
    ),
    "sandbox-not-isolated": Kind(
        CRITICAL,
        "Programs in the sandbox can reach production",
        "Use `isolation: namespace`, or a host without a route to the addresses in the inventory. Nothing was restored.",
    ),
    "wal-gap": Kind(
        CRITICAL,
        "The received WAL is incomplete",
        "The WAL after the gap cannot be replayed. Find out who removes or damages WAL segments, and take a new "
        "base backup. If the data is lost already, restore the base backup alone, without the later changes.",
    ),
    "wal-behind": Kind(
        HIGH,
        "The received WAL is behind the WAL of the server",
        (
            "If the server is lost, the WAL that was not received is lost with it. Check the load and the disk of "
            "the WAL receiver."
        ),
    ),
    "restore-errors": Kind(
        CRITICAL,
        "The restore tool reported errors",
        "Read the lines with errors in the evidence. A restore with errors counts as failed, whatever its exit status was.",
    ),
    "restore-target": Kind(
        HIGH,
        "The target of the restore is not empty",
        "Restore into an empty data directory, or into a database that does not exist yet.",
    ),
}
