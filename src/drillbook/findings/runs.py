"""Findings about the run itself: guards, faults, measurements, leases, alerts, the end of the run."""

from __future__ import annotations

from drillbook.findings.kind import CRITICAL, HIGH, LOW, MEDIUM, Kind

FINDINGS: dict[str, Kind] = {
    # Faults and measurements
    "fault-unproven": Kind(
        HIGH,
        "The fault was not proven active",
        "The drill cannot show a recovery from a fault that may not have happened. Check the output of the injection.",
    ),
    "fault-remains": Kind(
        CRITICAL,
        "The fault is still active after its undo",
        "Undo the fault by hand as described in the section on residue of the report, and then run `invoke drill.recover`.",
    ),
    "probe-never-good": Kind(
        HIGH,
        "A probe was never good before the disruption",
        "The probe does not measure the service. Check that the controller can reach the address of the probe.",
    ),
    "probe-bad-before": Kind(
        HIGH,
        "A probe was already bad before the fault",
        (
            "The figures of the probe show more than the fault. Find the earlier problem, or the service that "
            "the backup interrupted."
        ),
    ),
    "probe-failed": Kind(
        HIGH, "A probe could not measure", "Read the error of the probe. The figures of the probe are not verified."
    ),
    "not-recovered": Kind(
        CRITICAL,
        "The service was not good again by the end of the verification",
        "Recover the service by hand now. Then find out which restore step had no effect.",
    ),
    "recovery-not-awaited": Kind(
        HIGH,
        "The run did not wait until the service was good again",
        (
            "The drill undid its fault, but the run ended before a probe saw that the service was good again. "
            "Check the service now."
        ),
    ),
    "controller-suspended": Kind(
        HIGH,
        "The controller was suspended during the measurement",
        (
            "Prevent the machine from sleeping while a drill runs, because its clock stops during sleep. Then "
            "run the drill again."
        ),
    ),
    "controller-stalled": Kind(
        LOW,
        "The controller itself stalled while it waited for answers",
        (
            "The time in which the controller could receive no answers counts neither as good nor as bad. Give "
            "the controller more CPU time, and check its load."
        ),
    ),
    "no-outage-seen": Kind(
        LOW,
        "The probe saw no outage, although the fault was active",
        "Either the service hid the fault from its clients, or the outage was shorter than the interval of the probe.",
    ),
    "acknowledged-writes-lost": Kind(
        MEDIUM,
        "Acknowledged writes were lost",
        "To lose fewer writes, take backups more often, archive the WAL, or use a synchronous standby.",
    ),
    "hole-in-survivors": Kind(
        CRITICAL,
        "Writes from before the recovery point are missing",
        (
            "The restored data is a state that the service never had. Check that the backup used one snapshot "
            "for all its data."
        ),
    ),
    "objective-missed": Kind(
        HIGH,
        "An objective was missed",
        "Shorten the slowest phase, which the timeline shows, or agree on an objective that can be met.",
    ),
    "objective-not-verified": Kind(
        HIGH,
        "An objective could not be verified",
        "The reason is next to the figure. An objective that was not measured does not count as met.",
    ),
    # Guards, locks and leases
    "guard-tripped": Kind(
        HIGH,
        "An abort condition stopped the run",
        "Check the system that the condition watches before you run the drill again. All faults were undone.",
    ),
    "lease-lapsed": Kind(
        HIGH,
        "A target undid the faults by itself, because its lease was not renewed",
        "Check the network between controller and target, and the load of the controller. Or lengthen `guard.lease`.",
    ),
    "lease-unrenewed": Kind(
        HIGH,
        "A target could not be reached for so long that it will soon undo the faults by itself",
        (
            "Find out why the controller lost the connection to the target. The cause may be the network, the "
            "load, or the target itself."
        ),
    ),
    "lock-lost": Kind(
        HIGH,
        "The run lost its lock to another run",
        "Find out why this controller stalled. When the other run has ended, run `invoke drill.recover`.",
    ),
    "unfinished-run": Kind(
        HIGH, "An earlier run died or left changes on the same hosts", "Recover that run first with `invoke drill.recover`."
    ),
    "locked": Kind(
        HIGH,
        "Another run has the lock of the service",
        (
            "Wait until the other run ends, or stop it with `invoke drill.stop`. Only one drill can run on a "
            "service at a time."
        ),
    ),
    "lock-taken-over": Kind(
        LOW,
        "The lock of the service was taken over from another run",
        "Check that run. `invoke drill.recover` undoes the changes that it left.",
    ),
    # Alerts
    "alert-missing": Kind(
        HIGH,
        "The expected alert did not come in time",
        (
            "Check in Prometheus that the expression of the rule has a value, that its `for:` is short enough, "
            "and that its target answers."
        ),
    ),
    "alert-remains": Kind(
        HIGH,
        "The alert did not clear after the recovery",
        (
            "Check the labels and the value of the alert. Either the problem still exists, or the alert clears "
            "later than `within` allows."
        ),
    ),
    # The end of the run
    "residue": Kind(CRITICAL, "A change could not be undone", "Run `invoke drill.recover`, or the commands in this report."),
    "residue-active": Kind(
        CRITICAL,
        "A change is still active, so the run was not closed",
        "Undo the change with `invoke drill.recover`, or by hand as the report describes. Then close the run again.",
    ),
    "residue-unknown": Kind(
        HIGH,
        "It is not known whether a change is still active",
        (
            "Make its host reachable, or check the change in another way. If its state stays unknown, a second "
            "person must approve the closing."
        ),
    ),
    "contact-not-told": Kind(
        LOW,
        "A contact could not be notified of the run",
        (
            "Notify the contact in another way now. Then correct the contact's `notify` URL, or the network path "
            "to that service."
        ),
    ),
    "allowed-failure": Kind(
        LOW,
        "A step failed that the drill allows to fail",
        "The drill states why this failure is allowed; read this reason in the report, beside the failed step.",
    ),
    "aborted": Kind(
        MEDIUM, "The run was stopped before its end", "Run the drill again once the reason for the stop no longer exists."
    ),
}
