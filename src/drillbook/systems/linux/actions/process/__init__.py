"""Actions `process.*`: faults of one running process, and actions that inspect it.

Lives here: the selection of the process, its faults, and actions that inspect it.
Lives elsewhere: the programs that read stacks, profiles and allocations (`systems.linux`).
"""
