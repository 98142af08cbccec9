"""Actions `process.*` that change nothing.

Lives here: stacks, CPU profiles, use of resources and memory, and allocations of one process.
Lives elsewhere: the programs that read these data (`systems.linux`), the selection of the process (`naming`).
"""
