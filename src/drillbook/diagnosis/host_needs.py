"""Commands, rights and ports that a diagnosis needs on the hosts."""

from drillbook.sdk.host_needs import HostNeeds

HOST_NEEDS = {
    "diagnosis.*": HostNeeds(
        rights=("the needs of the checks in its trees; a check that lacks one of its needs gives no answer")
    ),
}
