"""The Host port over SSH: one Fabric connection a host, used by many threads at once.

Lives here: opening and reusing connections, channels, sessions, SFTP, gateways, tunnels, keys.
Lives elsewhere: what local and remote hosts share (`hosts`).
"""
