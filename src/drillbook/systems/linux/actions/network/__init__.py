"""Actions `network.*`: faults of a host's network, made in the kernel. Without CAP_NET_ADMIN, use `relay.*`.

Lives here: rules that drop or delay packets, their removal, and protection against lockout.
Lives elsewhere: faults of a relay (`systems.linux.actions.relay`), the packet filter's dumps (`systems.linux.filterdumps`).
"""
