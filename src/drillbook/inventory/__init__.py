"""Inventories: hosts, groups, services and contacts of one environment, read from files.

Lives here: the model of an inventory, its sources (a file each in `sources`), the merging of sources, protected environments.
Lives elsewhere: kinds of services (each in its system), host patterns (`language.patterns`).
"""
