"""Findings on what came back: rows, keys, objects, files."""

from __future__ import annotations

from drillbook.findings.kind import CRITICAL, HIGH, LOW, MEDIUM, Kind

FINDINGS: dict[str, Kind] = {
    # What came back
    "table-missing": Kind(
        CRITICAL,
        "A table of the backup is not in the restored database",
        "Check that the backup covers every schema, and that nobody drops tables after the restore.",
    ),
    "table-unexpected": Kind(
        MEDIUM,
        "The restored database holds a table that the backup does not know",
        "Something wrote to the database between restore and verification: keep clients out until it is verified.",
    ),
    "table-content": Kind(
        CRITICAL,
        "A table's content differs from the backup",
        "Compare row by row with a second restore. If a client wrote meanwhile, restore with `closed: true`.",
    ),
    "sequence-behind": Kind(
        HIGH,
        "A sequence stands behind its value in the backup",
        "Set it with setval() above the largest key, or new rows will collide; find out why the restore missed it.",
    ),
    "schema-differs": Kind(
        HIGH,
        "The schema differs from the backup",
        "Read the difference in the evidence: constraints, triggers, owners and grants do not come back by themselves.",
    ),
    "key-missing": Kind(
        CRITICAL,
        "A key of the backup is not in the restored keyspace",
        "Check for eviction (maxmemory) and for clients that delete; restore again with clients kept out.",
    ),
    "key-content": Kind(
        HIGH,
        "A key has another type, value or time of expiry than in the backup",
        "If a client wrote meanwhile, keep clients out until it is verified, or name the key under `ignore`.",
    ),
    "key-unexpected": Kind(
        LOW,
        "The restored keyspace holds a key that the backup does not know",
        "Something wrote between restore and verification: keep clients out, or name the key under `ignore`.",
    ),
    "vector-missing": Kind(
        HIGH,
        "A vector that must be there is not in the collection",
        "Index it: `qdrant.reconcile` brings it from a backup or from a query; find out which job failed to write it.",
    ),
    "vector-content": Kind(
        HIGH,
        "A vector or its payload is another than in the backup",
        "If a client wrote meanwhile, compare with a newer backup; else restore it with `qdrant.restore`.",
    ),
    "vector-unexpected": Kind(
        MEDIUM,
        "The collection holds a vector that nothing stands behind",
        "Searches find what is not there any more: delete it with `qdrant.reconcile`, and find out who left it.",
    ),
    "vector-config": Kind(
        CRITICAL,
        "The collection is made for other vectors than those of the backup",
        "Size and distance come from the model: restore into a collection of the backup's settings, or index anew.",
    ),
    "object-missing": Kind(CRITICAL, "An object is not in the store", "Restore it from a version or from the backup."),
    "object-content": Kind(
        CRITICAL,
        "An object has another content than expected",
        "Restore it from a version or from the backup; scrub the store.",
    ),
    "object-unexpected": Kind(
        LOW,
        "The store holds an object that the manifest does not know",
        "A client may have written it meanwhile; if nobody did, find out who did.",
    ),
    "object-no-version": Kind(
        CRITICAL,
        "An object has no version with the wanted content",
        "Versions are expired or were deleted: restore it from the copy with `s3.restore`, and check the lifecycle rules.",
    ),
    "file-missing": Kind(CRITICAL, "A file of the archive is not there", "Extract it from the archive."),
    "file-mode": Kind(
        HIGH,
        "A file has another type or other permissions than in the archive",
        "Set them with chmod; find out whether the extraction ran with `--same-permissions` and without an ACL above.",
    ),
    "file-owner": Kind(
        HIGH,
        "A file has another owner than in the archive",
        "Set it with chown; only root can extract files of several owners.",
    ),
    "file-link": Kind(HIGH, "A symbolic or hard link leads elsewhere than in the archive", "Make the link again."),
    "file-xattr": Kind(
        MEDIUM,
        "A file has other extended attributes than in the archive",
        "Set them with setfattr; check that the file system keeps them.",
    ),
    "file-time": Kind(
        LOW,
        "A file has another time of change than in the archive",
        "Harmless for most programs; backup tools and build tools look at it.",
    ),
    "file-unexpected": Kind(
        MEDIUM,
        "There is a file that the archive does not know",
        "Something wrote it since; if nobody did, find out who did.",
    ),
    "file-content": Kind(HIGH, "A file has another content than expected", "Restore it from the backup."),
}
