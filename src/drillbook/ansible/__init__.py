"""Ansible inventories as they are, read without Ansible: INI and YAML, ranges, children, group_vars and host_vars."""
