"""Ansible inventories as they are, read without Ansible: INI and YAML, ranges, children, group_vars and host_vars.

Lives here: reading their files, the graph of groups, and hosts as Drillbook understands them.
Lives elsewhere: merging them with an inventory of Drillbook (`inventory.yaml_files`).
"""
