"""Ansible inventories, read without Ansible: INI and YAML, ranges, children, group_vars and host_vars.

Lives here: reading the files of Ansible inventories, the graph of groups, and conversion to Drillbook's hosts.
Lives elsewhere: the key `ansible` of an inventory (`inventory.sources.ansible`).
"""
