"""Implementation of the interface `Host` over SSH: one Fabric connection for each host, shared by many threads.

Lives here: opening and reusing connections, channels, sessions, SFTP, gateways, tunnels, keys.
Lives elsewhere: code shared by local and remote hosts (`hosts`).
"""
