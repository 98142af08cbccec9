"""Needs of the actions of Ansible on a host."""

from drillbook.sdk.host_needs import HostNeeds

HOST_NEEDS = {
    "ansible.*": HostNeeds(
        commands=("ansible-playbook",),
        rights="read the playbook; those that its tasks need on their hosts",
        ports="SSH from this host to the hosts of Ansible's inventory",
    ),
}
