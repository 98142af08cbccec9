"""Findings on the run itself: guards, faults, measurements, leases, alerts, its end."""

from __future__ import annotations

from drillbook.findings.kind import CRITICAL, HIGH, LOW, MEDIUM, Kind

FINDINGS: dict[str, Kind] = {
    # The fault and the measurement
    "fault-unproven": Kind(
        HIGH,
        "The fault was not proven active",
        "The drill cannot show a recovery from a fault that may not have happened. Check the injection's output.",
    ),
    "fault-remains": Kind(
        CRITICAL,
        "The fault is still active after it was undone",
        "Undo it by hand as the residue section says, then run `invoke drill.recover`.",
    ),
    "probe-never-good": Kind(
        HIGH,
        "A probe was never good before the disruption",
        "The probe does not measure the service: check its address from the controller; nothing was injected.",
    ),
    "probe-bad-before": Kind(
        HIGH,
        "A probe was bad already before the fault",
        "What it measured is not the fault's alone: find out what was wrong before it, or what the backup interrupted.",
    ),
    "probe-failed": Kind(HIGH, "A probe could not do its work", "Read the probe's error; its figures are not verified."),
    "not-recovered": Kind(
        CRITICAL,
        "The service was not good again by the end of the verification",
        "Bring the service back by hand now; then find out which restore step did not do what it says.",
    ),
    "recovery-not-awaited": Kind(
        HIGH,
        "Nobody waited until the service was good again",
        "What the drill broke was put back, and the run ended before a probe saw the service good: look whether it is now.",
    ),
    "controller-suspended": Kind(
        HIGH,
        "The controller was suspended while it measured",
        "Its clock stood still meanwhile: keep the machine from sleeping while a drill runs, and run it again.",
    ),
    "controller-stalled": Kind(
        LOW,
        "The controller itself stood still while it listened for answers",
        "What it could not have heard counts as neither good nor bad: give it more of its processor, and look at its load.",
    ),
    "no-outage-seen": Kind(
        LOW,
        "The probe saw no outage, though the fault was active",
        "The service hid the fault, or the outage was shorter than the probe's interval.",
    ),
    "acknowledged-writes-lost": Kind(
        MEDIUM,
        "Acknowledged writes were lost",
        "Lower the loss with more frequent backups, WAL archiving or a synchronous standby.",
    ),
    "hole-in-survivors": Kind(
        CRITICAL,
        "Writes are missing from before the recovery point",
        "The restored data is not a state that ever existed: check that the backup used one snapshot.",
    ),
    "objective-missed": Kind(
        HIGH, "An objective was missed", "Shorten the slowest phase (see the timeline), or agree on an objective that holds."
    ),
    "objective-not-verified": Kind(
        HIGH,
        "An objective could not be verified",
        "The reason is beside the figure; without a measurement an objective is never met.",
    ),
    # Guards, locks and leases
    "guard-tripped": Kind(
        HIGH,
        "A guard stopped the run",
        "Look at the system that the condition watches, before the drill is run again; what was broken was put back.",
    ),
    "lease-lapsed": Kind(
        HIGH,
        "A target reverted by itself, since it heard nothing from the controller",
        "Look at the network between controller and target, and at the controller's load, or lengthen `guard.lease`.",
    ),
    "lease-unrenewed": Kind(
        HIGH,
        "A target could not be reached for so long that it is about to revert by itself",
        "Find out why the controller lost it: network, load, or the target itself.",
    ),
    "lock-lost": Kind(
        HIGH,
        "The run lost its lock to another run while it was at work",
        "See why this controller stood still; when the other run has ended: `invoke drill.recover`.",
    ),
    "unfinished-run": Kind(
        HIGH, "A run before this one died or left something on the same hosts", "Recover it first: `invoke drill.recover`."
    ),
    "locked": Kind(
        HIGH,
        "Another run holds the lock of the service",
        "Wait until it ends, or stop it with `invoke drill.stop`; one drill runs per service.",
    ),
    "lock-taken-over": Kind(
        LOW, "The lock was taken over from another run", "Look at that run: `invoke drill.recover` puts back what it left."
    ),
    # Alerts
    "alert-missing": Kind(
        HIGH,
        "The expected alert did not come in time",
        "See in Prometheus whether the rule's expression has a value, how long its `for:` is, and that its target answers.",
    ),
    "alert-remains": Kind(
        HIGH,
        "The alert did not clear after the recovery",
        "Look at the alert's labels and value: either something is still wrong, or its window is longer than `within`.",
    ),
    # The end of the run
    "residue": Kind(CRITICAL, "Something could not be put back", "Run `invoke drill.recover`, or the commands shown."),
    "residue-active": Kind(
        CRITICAL,
        "A change is still there, so it is not closed",
        "Put it back: `invoke drill.recover`, or by hand as the report says; then close it.",
    ),
    "residue-unknown": Kind(
        HIGH,
        "Nobody can tell whether a change is still there",
        "Let its host answer, or look there by other means; without a proof a second person has to approve closing it.",
    ),
    "contact-not-told": Kind(
        LOW,
        "A contact could not be told of the run",
        "Tell them by other means now; then put right the service URL that their `notify` names, or the way to it.",
    ),
    "allowed-failure": Kind(LOW, "A step failed that the drill allows to fail", "The written reason is beside it."),
    "aborted": Kind(MEDIUM, "The run was stopped before its end", "Run the drill again when the reason is gone."),
}
