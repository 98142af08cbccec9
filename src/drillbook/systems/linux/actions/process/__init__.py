"""Actions `process.*`: faults of one running process, and actions that inspect it."""
