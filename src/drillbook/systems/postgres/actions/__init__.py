"""Actions `postgres.*`, in one module for each group."""
