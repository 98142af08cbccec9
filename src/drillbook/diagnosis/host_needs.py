"""Needs of diagnoses on hosts: commands, rights and ports."""

from drillbook.sdk.host_needs import HostNeeds

HOST_NEEDS = {
    "diagnosis.*": HostNeeds(
        rights=("the needs of the checks in its trees; a check that lacks one of its needs gives no answer")
    ),
}
