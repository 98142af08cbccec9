"""Actions `http.*`. Each group of actions has a module of its own."""
