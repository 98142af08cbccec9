"""Implementation of the interface `Host` over SSH. Many threads share one Fabric connection to each host.

Lives here: connections and their reuse, channels, sessions, SFTP, gateways, tunnels, keys.
Lives elsewhere: code shared by local and remote hosts (`hosts`).
"""
