"""Actions `network.*`: faults of a host's own network, in its kernel; they need CAP_NET_ADMIN. Without it see `relay.*`."""
