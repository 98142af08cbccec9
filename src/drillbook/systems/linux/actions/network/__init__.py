"""Actions `network.*`: faults of a host's network, made in the kernel. They need CAP_NET_ADMIN; without it use `relay.*`."""
