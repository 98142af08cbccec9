"""Support for Ansible: a drill runs a team's own playbook as a step, and measures it. It uses no other package of `systems`.

Lives here: the action `ansible.playbook`, and the parser of a playbook's results, task by task.
Lives elsewhere: reading of Ansible's inventories (`inventory.ansible`), steps that run a team's other commands
(`systems.command`).
"""

from drillbook.sdk.discovery import System

SYSTEM = System(__name__, actions={"ansible": ".actions"}, examples="examples", host_needs=".host_needs")
