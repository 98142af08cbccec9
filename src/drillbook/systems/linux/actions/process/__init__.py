"""Actions `process.*`: faults of one running process, and what it shows of itself."""
