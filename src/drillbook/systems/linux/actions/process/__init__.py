"""Actions `process.*`. Each step selects one running process of a host.

Lives here: the selection of the process, faults of this process, and actions that inspect it.
Lives elsewhere: the programs that read stacks, profiles and allocations (`systems.linux`).
"""
