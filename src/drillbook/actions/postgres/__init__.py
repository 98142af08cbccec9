"""PostgreSQL: back up, break, restore, and prove that it came back."""
