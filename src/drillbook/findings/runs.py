"""Findings about the run itself: guards, faults, measurements, leases, alerts, the end of the run."""

from __future__ import annotations

from drillbook.findings.kind import CRITICAL, HIGH, LOW, MEDIUM, Kind

FINDINGS: dict[str, Kind] = {
    # Faults and measurements
    "fault-unproven": Kind(
        HIGH,
        "The fault was not proven active",
        "The drill cannot show a recovery from a fault that may not have happened. Check the injection's output.",
    ),
    "fault-remains": Kind(
        CRITICAL,
        "The fault is still active after its undo",
        "Undo the fault by hand as described in the report's section on residue, then run `invoke drill.recover`.",
    ),
    "probe-never-good": Kind(
        HIGH,
        "A probe was never good before the disruption",
        "The probe does not measure the service: check its address from the controller.",
    ),
    "probe-bad-before": Kind(
        HIGH,
        "A probe was already bad before the fault",
        "The probe's figures show more than the fault: find the earlier problem, or the service that the backup interrupted.",
    ),
    "probe-failed": Kind(HIGH, "A probe could not measure", "Read the probe's error; its figures are not verified."),
    "not-recovered": Kind(
        CRITICAL,
        "The service was not good again by the end of the verification",
        "Recover the service by hand now; then find out which restore step had no effect.",
    ),
    "recovery-not-awaited": Kind(
        HIGH,
        "The run did not wait until the service was good again",
        "The drill undid its fault, but the run ended before a probe saw the service good again: check the service now.",
    ),
    "controller-suspended": Kind(
        HIGH,
        "The controller was suspended during the measurement",
        "Prevent the machine from sleeping while a drill runs, as its clock stops then; run the drill again.",
    ),
    "controller-stalled": Kind(
        LOW,
        "The controller itself stalled while it waited for answers",
        (
            "The time in which it could receive no answers counts as neither good nor bad: give the controller more CPU "
            "time, and check its load."
        ),
    ),
    "no-outage-seen": Kind(
        LOW,
        "The probe saw no outage, although the fault was active",
        "The service masked the fault, or the outage was shorter than the probe's interval.",
    ),
    "acknowledged-writes-lost": Kind(
        MEDIUM,
        "Acknowledged writes were lost",
        "Lower the loss with more frequent backups, WAL archiving or a synchronous standby.",
    ),
    "hole-in-survivors": Kind(
        CRITICAL,
        "Writes from before the recovery point are missing",
        "The restored data is not a state that ever existed: check that the backup used one snapshot.",
    ),
    "objective-missed": Kind(
        HIGH,
        "An objective was missed",
        "Shorten the slowest phase (see the timeline), or agree on an objective that can be met.",
    ),
    "objective-not-verified": Kind(
        HIGH,
        "An objective could not be verified",
        "The reason is next to the figure; without a measurement an objective is never met.",
    ),
    # Guards, locks and leases
    "guard-tripped": Kind(
        HIGH,
        "An abort condition stopped the run",
        "Check the system that the condition monitors before the drill is run again; all faults were undone.",
    ),
    "lease-lapsed": Kind(
        HIGH,
        "A target undid the faults by itself, because its lease was not renewed",
        "Check the network between controller and target, and the controller's load, or lengthen `guard.lease`.",
    ),
    "lease-unrenewed": Kind(
        HIGH,
        "A target could not be reached for so long that it will soon undo the faults by itself",
        "Find out why the controller lost it: network, load, or the target itself.",
    ),
    "lock-lost": Kind(
        HIGH,
        "The run lost its lock to another run",
        "Find out why this controller stalled; when the other run has ended: `invoke drill.recover`.",
    ),
    "unfinished-run": Kind(
        HIGH, "An earlier run died or left changes on the same hosts", "Recover it first: `invoke drill.recover`."
    ),
    "locked": Kind(
        HIGH,
        "Another run has the lock of the service",
        "Wait until it ends, or stop it with `invoke drill.stop`; only one drill can run per service.",
    ),
    "lock-taken-over": Kind(
        LOW,
        "The lock was taken over from another run",
        "Check that run: `invoke drill.recover` undoes its remaining changes.",
    ),
    # Alerts
    "alert-missing": Kind(
        HIGH,
        "The expected alert did not come in time",
        (
            "Check in Prometheus that the rule's expression has a value, that its `for:` is short enough, and that its "
            "target answers."
        ),
    ),
    "alert-remains": Kind(
        HIGH,
        "The alert did not clear after the recovery",
        "Check the alert's labels and value: either the problem still exists, or its window is longer than `within`.",
    ),
    # The end of the run
    "residue": Kind(CRITICAL, "A change could not be undone", "Run `invoke drill.recover`, or the commands in this report."),
    "residue-active": Kind(
        CRITICAL,
        "A change is still active, so the run was not closed",
        "Undo the change: `invoke drill.recover`, or by hand as the report describes; then close the run again.",
    ),
    "residue-unknown": Kind(
        HIGH,
        "It is unknown if a change is still active",
        "Make its host reachable, or check it by other means; if its state stays unknown, a second person must approve the closing.",
    ),
    "contact-not-told": Kind(
        LOW,
        "A contact could not be notified of the run",
        "Notify the contact by other means now; then correct the contact's `notify` URL, or the network path to that service.",
    ),
    "allowed-failure": Kind(
        LOW, "A step failed that the drill allows to fail", "The reason that the drill states is next to the step."
    ),
    "aborted": Kind(
        MEDIUM, "The run was stopped before its end", "Run the drill again once the reason for the stop no longer exists."
    ),
}
