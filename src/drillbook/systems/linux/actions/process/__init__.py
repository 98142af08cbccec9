"""Actions `process.*`: faults of one running process, and its inspection."""
