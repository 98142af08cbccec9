"""Actions `network.*`: faults of a host's network, made in the kernel. Without CAP_NET_ADMIN, use `relay.*`."""
