"""Commands, rights and ports that a diagnosis needs on the hosts."""

from drillbook.sdk.host_needs import HostNeeds

HOST_NEEDS = {
    "diagnosis.*": HostNeeds(
        rights=("whatever the checks in the diagnosis trees need; a check without all that it needs gives no answer")
    ),
}
