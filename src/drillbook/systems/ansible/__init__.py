"""Ansible: a team's own playbook as a measured step. Needs no other system.

Lives here: the action `ansible.playbook`, and the reading of its results task by task.
Lives elsewhere: inventories of Ansible (`inventory.ansible`), other custom steps (`systems.command`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(__name__, actions={"ansible": ".actions"}, examples="examples", host_needs=".host_needs")
