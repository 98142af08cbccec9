"""Actions whose names begin with `postgres.`; each module contains one group of them."""
