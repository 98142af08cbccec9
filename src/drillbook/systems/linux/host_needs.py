"""Needs of the actions on processes, network and resources of a host."""

from drillbook.sdk.host_needs import HostNeeds

_ROOT = "root, or `manager: {sudo: true}`"
_SAME = f"the user of the process; of other users {_ROOT}"
HOST_NEEDS = {
    "host.oom_kills": HostNeeds(either=(("journalctl", "dmesg"),), rights=f"read the kernel's log; else {_ROOT}"),
    "host.*": HostNeeds(rights="any user"),
    "net.filters": HostNeeds(either=(("iptables-save", "nft"),), rights=_ROOT),
    "net.resolve": HostNeeds(either=(("getent", "python3"),), rights="any user"),
    "net.route": HostNeeds(either=(("ip", "python3"),), rights="any user; to ask the packet filter " + _ROOT),
    "network.capture": HostNeeds(("tcpdump", "timeout"), f"CAP_NET_RAW: {_ROOT}"),
    "network.delay": HostNeeds(("tc", "ip"), f"CAP_NET_ADMIN: {_ROOT}"),
    "network.*": HostNeeds(either=(("iptables", "nft"),), rights=f"CAP_NET_ADMIN: {_ROOT}"),
    "path.*": HostNeeds(rights="write the folder of the path"),
    "port.occupy": HostNeeds(
        either=(("python3", "perl", "socat", "nc", "busybox"),), rights="any user; a port below 1024 needs root"
    ),
    "port.owner": HostNeeds(rights=f"any user; to see processes of others {_ROOT}"),
    "port.release": HostNeeds(rights=_SAME),
    "process.stacks": HostNeeds(either=(("py-spy",),), rights=f"ptrace: {_SAME}"),
    "process.profile": HostNeeds(either=(("py-spy",),), rights=f"ptrace: {_SAME}"),
    "process.allocations": HostNeeds(("memray",), f"ptrace: {_SAME}", either=(("gdb", "lldb"),)),
    "process.memory_profile": HostNeeds(rights=_SAME),
    "process.limit": HostNeeds(("prlimit",), _SAME),
    "process.*": HostNeeds(rights=_SAME),
    "relay.*": HostNeeds(("python3",), "any user", "the relay's own port; from it the service's"),
    "resource.*": HostNeeds(rights="any user", either=(("python3", "sh"),)),
    "tcp.open": HostNeeds(ports="the port, from the controller (or by the host's SSH, with `reach: ssh`)"),
}
