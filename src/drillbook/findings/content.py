"""Findings about restored content: rows, keys, vectors, objects, files."""

from __future__ import annotations

from drillbook.findings.kind import CRITICAL, HIGH, LOW, MEDIUM, Kind

FINDINGS: dict[str, Kind] = {
    # Restored content
    "table-missing": Kind(
        CRITICAL,
        "A table of the backup is missing in the restored database",
        "Check that the backup covers every schema, and that nobody drops tables after the restore.",
    ),
    "table-unexpected": Kind(
        MEDIUM,
        "The restored database contains a table that is not in the backup",
        "A client wrote to the database between restore and verification: refuse clients until the verification has passed.",
    ),
    "table-content": Kind(
        CRITICAL,
        "A table's content differs from the backup",
        "Compare row by row with a second restore. If a client wrote meanwhile, restore with `closed: true`.",
    ),
    "content-differs": Kind(
        CRITICAL,
        "The content differs from the content recorded before the fault",
        "Find out whether the backup is older than the recorded content, or the restore is incomplete.",
    ),
    "copy-differs": Kind(
        HIGH,
        "The restored copy differs from production in rows that should be equal",
        "Compare these rows in both. Where production changes rows after it wrote them, choose another key, or leave the table out.",
    ),
    "copy-volume": Kind(
        HIGH,
        "The restored copy has far fewer or more rows than production, or than the copy of the last run",
        "Find out whether the backup leaves rows out, or production changed as much since; widen `tolerance` or `history` for the "
        "latter.",
    ),
    "table-corrupt": Kind(
        CRITICAL,
        "A table or an index is corrupt, or a view cannot be used",
        "Do not repair the copy: restore an older backup, and check it too. If production has the same damage, repair it "
        "there first, then take a new backup.",
    ),
    "sequence-behind": Kind(
        HIGH,
        "A sequence is lower than its value in the backup",
        "Set the sequence with setval() above the largest key, or new rows will collide; find out why the restore left it behind.",
    ),
    "schema-differs": Kind(
        HIGH,
        "The schema differs from the backup",
        "Read the difference in the evidence: constraints, triggers, owners and grants are not restored by themselves.",
    ),
    "view-stale": Kind(
        HIGH,
        "A materialized view has neither the rows of the backup nor those that its query returns now",
        "Run REFRESH MATERIALIZED VIEW, and find out why the restore did not: readers of the view get outdated rows.",
    ),
    "database-missing": Kind(
        CRITICAL,
        "A database of the cluster is missing",
        "A dump contains only one database: restore the missing one from its own backup, or use base backups of the cluster.",
    ),
    "cluster-differs": Kind(
        HIGH,
        "The cluster differs from the backup",
        "Roles, memberships, passwords and settings of roles come from `globals.sql`: apply what is missing, revert what is "
        "not intended, or name the difference under `accept`.",
    ),
    "access-differs": Kind(
        HIGH,
        "The rules of pg_hba.conf differ from the backup",
        "The rules decide who may log in, and how; a rule `trust` asks for no password. Restore the file, reload the server.",
    ),
    "setting-differs": Kind(
        HIGH,
        "A setting of the server differs from the backup",
        "Set the value of the backup in postgresql.conf or with ALTER SYSTEM: for example, with `fsync` off a crash loses data.",
    ),
    "index-corrupt": Kind(
        CRITICAL,
        "An index is corrupt, or does not have every row of its table",
        "Rebuild the index with REINDEX, then look for the cause: hardware, a copied data directory, another collation version.",
    ),
    "heap-corrupt": Kind(
        CRITICAL,
        "A table is corrupt",
        "Do not write to it. Restore the table from a backup on sound storage, and look for the cause before anything else.",
    ),
    "collation-version": Kind(
        HIGH,
        "A collation's library has another version than when the indexes were built",
        "REINDEX every index that uses it, then ALTER DATABASE or ALTER COLLATION ... REFRESH VERSION; else queries miss rows.",
    ),
    "key-missing": Kind(
        CRITICAL,
        "A key of the backup is missing in the restored keyspace",
        "Check for eviction (maxmemory) and for clients that delete; restore again while clients are refused.",
    ),
    "key-content": Kind(
        HIGH,
        "A key has another type, value or time of expiry than in the backup",
        (
            "If a client wrote since the restore, refuse clients until the verification has passed, or name the key "
            "under `ignore`."
        ),
    ),
    "key-unexpected": Kind(
        LOW,
        "The restored keyspace contains a key that is not in the backup",
        "A client wrote between restore and verification: refuse clients, or name the key under `ignore`.",
    ),
    "server-setting": Kind(
        HIGH,
        "A setting of the server differs from its value at the time of the backup",
        "A value set with CONFIG SET is lost at the next start, such as that of a restore: set it again, and store it with "
        "CONFIG REWRITE. If the new value is intended, name the setting under `ignore_server`.",
    ),
    "server-user": Kind(
        HIGH,
        "A user of the server has other rights or passwords than at the time of the backup",
        "An RDB file contains no users, and users made with ACL SETUSER are lost at the next start: make the user again, "
        "and store it with ACL SAVE or CONFIG REWRITE.",
    ),
    "server-function": Kind(
        HIGH,
        "A library of functions is missing, or differs from the backup",
        "Load the library again with FUNCTION LOAD, or restore again; find out who deleted or replaced the library.",
    ),
    "vector-missing": Kind(
        HIGH,
        "A required vector is missing in the collection",
        "Index the vector with `qdrant.reconcile`, from a backup or from a query; find out which job failed to write the vector.",
    ),
    "vector-content": Kind(
        HIGH,
        "A vector or its payload differs from the backup",
        "If a client wrote meanwhile, compare with a newer backup; else restore it with `qdrant.restore`.",
    ),
    "vector-unexpected": Kind(
        MEDIUM,
        "The collection contains a vector whose source no longer exists",
        (
            "Searches find documents that no longer exist: delete the vector with `qdrant.reconcile`, and find out why "
            "it was left behind."
        ),
    ),
    "vector-config": Kind(
        CRITICAL,
        "The collection has other vector settings than the backup",
        (
            "Size and distance come from the model: restore into a collection of the backup's settings, or index the "
            "vectors again."
        ),
    ),
    "object-missing": Kind(
        CRITICAL, "An object is missing in the store", "Restore the object from an older version or from the backup."
    ),
    "object-content": Kind(
        CRITICAL,
        "An object has other content than expected",
        "Restore the object from an older version or from the backup; scrub the store.",
    ),
    "object-unexpected": Kind(
        LOW,
        "The store contains an object that is not in the manifest",
        "A client may have written it since the backup; else find out where the object comes from.",
    ),
    "object-no-version": Kind(
        CRITICAL,
        "An object has no version with the wanted content",
        "Versions are expired or were deleted: restore the object from the copy with `s3.restore`, and check the lifecycle rules.",
    ),
    "object-undeleted": Kind(
        HIGH,
        "A deleted object has lost its delete marker",
        "Somebody removed the marker, so the deleted content can be read again: delete the object again, and find out who did it.",
    ),
    "versioning-off": Kind(
        HIGH,
        "Versioning of a bucket was turned off",
        "Turn versioning on again: while it is off, every write and every deletion destroys the old content.",
    ),
    "file-missing": Kind(
        CRITICAL,
        "A file is missing",
        "Extract the file from the archive. If the backup itself lacks it, find out why: it is excluded, or the backup job has no "
        "permission to read it.",
    ),
    "file-mode": Kind(
        HIGH,
        "A file has another type or other permissions than in the archive",
        "Set the permissions with chmod; check that the extraction ran with `--same-permissions`, and that no default ACL applied.",
    ),
    "file-owner": Kind(
        HIGH,
        "A file has another owner than in the archive",
        "Set the owner with chown; only root can extract files of several owners.",
    ),
    "file-link": Kind(HIGH, "A symbolic or hard link has another target than in the archive", "Create the link again."),
    "file-xattr": Kind(
        MEDIUM,
        "A file has other extended attributes than in the archive",
        "Set the attributes with setfattr; check that the file system stores extended attributes.",
    ),
    "file-time": Kind(
        LOW,
        "A file has another modification time than in the archive",
        "Harmless for most programs; backup tools and build tools use it.",
    ),
    "file-unexpected": Kind(
        MEDIUM,
        "The folder contains a file that is not in the archive",
        "A program may have written it since the backup; else find out where the file comes from.",
    ),
    "reference-dangling": Kind(
        HIGH,
        "Rows name objects of a store that are not there as the rows say",
        "Restore the objects of the same moment: their versions, or a copy; or back both up at one moment. Compare with production.",
    ),
    "reference-broken": Kind(
        HIGH,
        "Rows refer to rows that do not exist",
        "If production has the same broken references, the application caused them. Otherwise the copy was taken in the "
        "middle of changes: take it with the database's own tool.",
    ),
    "file-content": Kind(HIGH, "A file has other content than expected", "Restore the file from the backup."),
}
