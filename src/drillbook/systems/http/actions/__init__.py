"""Actions `http.*`, in one module for each group."""
