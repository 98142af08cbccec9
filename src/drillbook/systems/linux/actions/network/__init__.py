"""Actions `network.*`: faults of a host's network in its kernel. They need CAP_NET_ADMIN; without it use `relay.*`."""
