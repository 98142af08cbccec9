"""Inventories: hosts, groups, services and contacts of one environment, from files.

Lives here: the model of an inventory, its sources (YAML with includes, Ansible), protected environments.
Lives elsewhere: kinds of services (each in its system), host patterns (`language.patterns`).
"""
