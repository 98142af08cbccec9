"""Actions `mariadb.*`, in one module for each group.

Lives here: the fault that drops databases, checks of health, SQL queries, and comparisons.
Lives elsewhere: connections, dumps and physical backups (`systems.mariadb`).
"""
