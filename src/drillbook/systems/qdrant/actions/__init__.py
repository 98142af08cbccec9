"""Actions `qdrant.*`: backups, faults, looks and remedies of collections."""
