"""Actions `s3.*`, in one module for each group."""
