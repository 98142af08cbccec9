"""Faults of a host's own network, in its kernel: they need CAP_NET_ADMIN there. Without it see ``relay.*``."""
