"""Actions `qdrant.*` on collections: backups, faults, checks, and repair from source rows."""
