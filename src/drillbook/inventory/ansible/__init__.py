"""Reader of Ansible inventories that works without Ansible. It reads INI and YAML files, ranges of hosts, child groups,
group_vars and host_vars.

Lives here: the reader of the files, the graph of groups, and the conversion to Drillbook's hosts.
Lives elsewhere: the key `ansible` of an inventory (`inventory.sources.ansible`).
"""
