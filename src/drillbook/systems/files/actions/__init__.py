"""Actions `files.*`: digests, archives, faults of files, and comparisons."""
