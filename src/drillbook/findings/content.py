"""Findings about restored content: rows, keys, vectors, objects, files."""

from __future__ import annotations

from drillbook.findings.kind import CRITICAL, HIGH, LOW, MEDIUM, Kind

FINDINGS: dict[str, Kind] = {
    # Restored content
    "table-missing": Kind(
        CRITICAL,
        "A table of the backup is missing in the restored database",
        "Check that the backup contains every schema, and that nobody drops tables after the restore.",
    ),
    "table-unexpected": Kind(
        MEDIUM,
        "The restored database contains a table that is not in the backup",
        (
            "A client wrote to the database between the restore and the verification. Refuse clients until the "
            "verification has passed."
        ),
    ),
    "table-content": Kind(
        CRITICAL,
        "The content of a table differs from the backup",
        (
            "Compare the table row by row with a second restore. If a client wrote in the meantime, restore with "
            "`closed: true`, so that clients are refused."
        ),
    ),
    "references-broken": Kind(
        CRITICAL,
        "Rows refer to rows that the restore did not bring back",
        (
            "The backup is older than rows of the other table. Enter the missing rows again, or remove the rows without a "
            "partner; then run `ALTER TABLE ... VALIDATE CONSTRAINT` for each of these foreign keys. To avoid this, take "
            "the backup right before the drill, or restore the whole database."
        ),
    ),
    "content-differs": Kind(
        CRITICAL,
        "The content differs from the content that was recorded before the fault",
        "Find out whether the backup is older than the recorded content, or whether the restore is incomplete.",
    ),
    "copy-differs": Kind(
        HIGH,
        "The restored copy differs from production in rows that should be equal",
        (
            "Compare these rows in the copy and in production. If production changes rows after it has written "
            "them, set another `key` for the table, or leave the table out of the comparison."
        ),
    ),
    "copy-volume": Kind(
        HIGH,
        "The restored copy has far fewer or far more rows than production, or than the copy of the last run",
        (
            "Find out whether the backup lacks rows, or whether production changed that much since the backup. "
            "In the second case, widen `tolerance` or `history`."
        ),
    ),
    "table-corrupt": Kind(
        CRITICAL,
        "A table or an index is corrupt, or a view cannot be used",
        (
            "Do not repair the copy. Restore an older backup, and check that backup, too. If production has the "
            "same damage, repair production first, and then take a new backup."
        ),
    ),
    "sequence-behind": Kind(
        HIGH,
        "A sequence is lower than its value in the backup",
        (
            "Set the sequence with setval() above the largest key. Otherwise the keys of new rows collide with "
            "existing rows. Find out why the restore did not set the sequence."
        ),
    ),
    "schema-differs": Kind(
        HIGH,
        "The schema differs from the backup",
        (
            "Read the difference in the evidence. A restore of rows alone does not restore constraints, "
            "triggers, owners and grants."
        ),
    ),
    "view-stale": Kind(
        HIGH,
        "The rows of a materialized view differ from the backup, and from what the view's query returns now",
        (
            "Run REFRESH MATERIALIZED VIEW. Until then, readers of the view get outdated rows. Find out why the "
            "restore did not refresh the view."
        ),
    ),
    "database-missing": Kind(
        CRITICAL,
        "A database of the cluster is missing",
        (
            "A dump contains only one database. Restore the missing database from its own backup, or use base "
            "backups of the whole cluster."
        ),
    ),
    "cluster-differs": Kind(
        HIGH,
        "The cluster differs from the backup",
        (
            "Roles, memberships, passwords and settings of roles come from `globals.sql`. Add what is missing, "
            "revert changes that nobody intended, or name the difference under `accept`."
        ),
    ),
    "access-differs": Kind(
        HIGH,
        "The rules of pg_hba.conf differ from the backup",
        (
            "These rules decide who may log in, and how a client must prove its identity. For example, a rule with "
            "`trust` asks for no password. Restore the file, and reload the server."
        ),
    ),
    "setting-differs": Kind(
        HIGH,
        "A setting of the server differs from the backup",
        (
            "Give the setting the value that it has in the backup, in postgresql.conf or with ALTER SYSTEM. A wrong value is "
            "dangerous: for example, while `fsync` is off, a crash can lose data."
        ),
    ),
    "index-corrupt": Kind(
        CRITICAL,
        "An index is corrupt, or lacks rows of its table",
        (
            "Rebuild the index with REINDEX. Then look for the cause. It may be faulty hardware, a copied data "
            "directory, or another version of a collation."
        ),
    ),
    "heap-corrupt": Kind(
        CRITICAL,
        "A table is corrupt",
        (
            "Do not write to the table. Restore it from a backup on intact storage, and look for the cause "
            "before you do anything else."
        ),
    ),
    "collation-version": Kind(
        HIGH,
        "A collation library has another version than it had when the indexes were built",
        (
            "Run REINDEX on every index that uses the collation. Then run ALTER DATABASE or ALTER COLLATION with "
            "REFRESH VERSION. Until then, queries may miss rows."
        ),
    ),
    "key-missing": Kind(
        CRITICAL,
        "A key of the backup is missing in the restored keyspace",
        (
            "Check whether the server evicts keys (maxmemory), and whether clients delete keys. Restore again "
            "while clients are refused."
        ),
    ),
    "key-content": Kind(
        HIGH,
        "A key has another type, another value or another expiry time than in the backup",
        (
            "If a client changed the key after the restore: in the next run, refuse clients until the verification has "
            "passed, or name the key under `ignore`."
        ),
    ),
    "key-unexpected": Kind(
        LOW,
        "The restored keyspace contains a key that is not in the backup",
        (
            "A client wrote between the restore and the verification. Refuse clients until the verification has "
            "passed, or name the key under `ignore`."
        ),
    ),
    "server-setting": Kind(
        HIGH,
        "A setting of the server differs from its value at the time of the backup",
        (
            "A value that was set with CONFIG SET is lost when the server starts again, for example in a "
            "restore. Set the value again, and store it with CONFIG REWRITE. If the new value is intended, name "
            "the setting under `ignore_server`."
        ),
    ),
    "server-user": Kind(
        HIGH,
        "A user of the server has other rights or other passwords than at the time of the backup",
        (
            "An RDB file contains no users. Users that were made with ACL SETUSER are lost when the server "
            "starts again. Make the user again, and store it with ACL SAVE or CONFIG REWRITE."
        ),
    ),
    "server-function": Kind(
        HIGH,
        "A library of functions is missing, or differs from the backup",
        "Load the library again with FUNCTION LOAD, or restore again. Find out who deleted or replaced the library.",
    ),
    "vector-missing": Kind(
        HIGH,
        "A required vector is missing in the collection",
        (
            "Index the vector with `qdrant.reconcile`, from a backup or from a query. Find out which job failed "
            "to write the vector."
        ),
    ),
    "vector-content": Kind(
        HIGH,
        "A vector or its payload differs from the backup",
        (
            "If a client wrote in the meantime, compare with a newer backup. Otherwise restore the vector with "
            "`qdrant.restore`."
        ),
    ),
    "vector-unexpected": Kind(
        MEDIUM,
        "The collection contains a vector whose source no longer exists",
        (
            "Searches find documents that do not exist any more. Delete the vector with `qdrant.reconcile`, and "
            "find out why it was not deleted earlier."
        ),
    ),
    "vector-config": Kind(
        CRITICAL,
        "The vector settings of the collection differ from the backup",
        (
            "The embedding model decides the size and the distance of vectors. Restore the vectors into a collection with "
            "the settings of the backup, or index the vectors again."
        ),
    ),
    "object-missing": Kind(
        CRITICAL, "An object is missing in the store", "Restore the object from an older version or from the backup."
    ),
    "object-content": Kind(
        CRITICAL,
        "An object has other content than expected",
        "Restore the object from an older version or from the backup. Then scrub the store.",
    ),
    "object-unexpected": Kind(
        LOW,
        "The store contains an object that is not in the manifest",
        "A client may have written the object since the backup. If no client did, find out where the object comes from.",
    ),
    "object-no-version": Kind(
        CRITICAL,
        "No version of an object has the wanted content",
        (
            "Old versions expired or were deleted. Restore the object from the copy with `s3.restore`, and check "
            "the lifecycle rules."
        ),
    ),
    "object-undeleted": Kind(
        HIGH,
        "A deleted object has lost its delete marker",
        (
            "Somebody removed the delete marker, so the deleted content can be read again. Delete the object "
            "again, and find out who removed the marker."
        ),
    ),
    "versioning-off": Kind(
        HIGH,
        "Versioning of a bucket was turned off",
        "Turn versioning on again. While it is off, every write and every deletion destroys the old content.",
    ),
    "file-missing": Kind(
        CRITICAL,
        "A file is missing",
        (
            "Extract the file from the archive. If the backup itself lacks the file, find out why. The file may be "
            "excluded, or the backup job may have no permission to read it."
        ),
    ),
    "file-mode": Kind(
        HIGH,
        "A file has another type or other permissions than in the archive",
        (
            "Set the permissions with chmod. Check that the archive was extracted with `--same-permissions`, and "
            "that no default ACL applied."
        ),
    ),
    "file-owner": Kind(
        HIGH,
        "A file has another owner than in the archive",
        "Set the owner with chown. Only root can extract files that belong to several owners.",
    ),
    "file-link": Kind(HIGH, "A symbolic or hard link has another target than in the archive", "Create the link again."),
    "file-xattr": Kind(
        MEDIUM,
        "A file has other extended attributes than in the archive",
        "Set the attributes with setfattr. Check that the file system can store extended attributes.",
    ),
    "file-time": Kind(
        LOW,
        "A file has another modification time than in the archive",
        "This is harmless for most programs, but backup tools and build tools use the modification time.",
    ),
    "file-unexpected": Kind(
        MEDIUM,
        "The folder contains a file that is not in the archive",
        "A program may have written the file since the backup. If no program did, find out where the file comes from.",
    ),
    "reference-dangling": Kind(
        HIGH,
        "Rows refer to objects that are missing in their store, or that differ from the description in the rows",
        (
            "Restore the objects from their versions or from a copy, as they were when the rows were saved. Or back "
            "up rows and objects at the same time. Check whether production has the same references."
        ),
    ),
    "reference-broken": Kind(
        HIGH,
        "Rows refer to rows that do not exist",
        (
            "If production has the same broken references, the application caused them. Otherwise the copy was "
            "taken while data changed. In this case, take the copy with the backup tool of the database."
        ),
    ),
    "file-content": Kind(HIGH, "A file has other content than expected", "Restore the file from the backup."),
}
