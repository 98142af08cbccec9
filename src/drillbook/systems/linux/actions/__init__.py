"""Actions on a Linux host. Each family of actions has a module or a package of its own.

Lives here: faults of a host, its processes, its ports and its network paths, and actions that measure them.
Lives elsewhere: the programs that run on the host (`systems.linux`).
"""
