"""Files on a host: digests, archives, what can happen to them, and comparing them."""
