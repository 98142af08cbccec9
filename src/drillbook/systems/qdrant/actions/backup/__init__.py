"""Actions `qdrant.*` that take, find, verify and restore backups.

Lives here: backups that Drillbook exports, and snapshots of the server that a team's own job stored.
Lives elsewhere: the export, the transfer of a snapshot, and manifests (`systems.qdrant`).
"""
