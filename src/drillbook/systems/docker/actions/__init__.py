"""Actions `docker.*`: inspecting and changing containers, faults of containers, backups of volumes."""
