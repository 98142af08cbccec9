"""PostgreSQL: what a backup must hold, how a cluster is made, and how two states of a database are compared."""
