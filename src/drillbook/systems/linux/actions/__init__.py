"""Actions on a Linux host, in one module or package for each family."""
