"""Programs, permissions and network access that the action `ansible.playbook` needs on a host."""

from drillbook.sdk.host_needs import HostNeeds

HOST_NEEDS = {
    "ansible.*": HostNeeds(
        commands=("ansible-playbook",),
        rights="permission to read the playbook, and the permissions that its tasks need on their hosts",
        ports="SSH access from this host to the hosts of Ansible's inventory",
    ),
}
