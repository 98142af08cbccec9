"""Actions on a Linux host, one module or package a family."""
