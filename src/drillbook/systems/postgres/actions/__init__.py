"""Actions `postgres.*`: one module for each group of them."""
