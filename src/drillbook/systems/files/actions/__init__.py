"""Actions `files.*`: digests, archives, faults and comparisons of files."""
