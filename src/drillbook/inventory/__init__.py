"""Inventories: hosts, groups, services and contacts of one environment, read from files.

Lives here: the model of an inventory, its sources (in `sources`), merging of sources, rules for protected environments.
Lives elsewhere: kinds of services (in the packages of their systems), host patterns (`language.patterns`).
"""
