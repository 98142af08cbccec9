"""Needs of readings of any system's content."""

from drillbook.sdk.host_needs import HostNeeds

HOST_NEEDS = {
    "content.*": HostNeeds(
        rights="those that the drill's commands need (`become`)", ports="the URLs that the drill names, from the controller"
    ),
}
