"""What the reversible faults of a host share: finding exactly one process, and helpers that keep a fault up and end."""
