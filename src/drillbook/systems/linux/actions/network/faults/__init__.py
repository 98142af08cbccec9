"""Actions `network.*` that break something.

Lives here: dropped packets, reset connections, and delayed packets.
Lives elsewhere: the rules of packet filters (`filters`), the check that the controller stays connected to the host (`lockout`).
"""
