"""One running process: faults of it, and what it shows of itself."""
