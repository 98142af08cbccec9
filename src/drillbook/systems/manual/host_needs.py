"""Needs of manual steps."""

from drillbook.sdk.host_needs import HostNeeds

HOST_NEEDS = {"manual.*": HostNeeds(rights="a person at the controller's terminal, or the option `--assume`")}
