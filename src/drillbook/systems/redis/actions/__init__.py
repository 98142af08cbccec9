"""Actions `redis.*`, in one module for each group."""
