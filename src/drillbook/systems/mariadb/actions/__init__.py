"""Actions `mariadb.*`, in one module for each group."""
