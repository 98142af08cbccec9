"""Actions `qdrant.*` on collections: backups, faults, checks, and repair from source rows.

Lives here: one module for each group of these actions, and the source rows of points.
Lives elsewhere: points, snapshots and manifests (`systems.qdrant`).
"""
