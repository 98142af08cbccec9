"""Needs of diagnoses on hosts."""

from drillbook.sdk.host_needs import HostNeeds

HOST_NEEDS = {
    "diagnosis.*": HostNeeds(rights="those of the checks in its trees; a check that lacks one answers nothing"),
}
