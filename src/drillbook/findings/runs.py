"""Findings about the run itself: guards, faults, measurements, leases, alerts, the end of the run."""

from __future__ import annotations

from drillbook.findings.kind import CRITICAL, HIGH, LOW, MEDIUM, Kind

FINDINGS: dict[str, Kind] = {
    # Faults and measurements
    "fault-unproven": Kind(
        HIGH,
        "The fault was not proven active",
        "Without a fault that is proven active, the drill cannot show a recovery. Read the reason and the output of the "
        "injection, correct the step, and run the drill again.",
    ),
    "fault-remains": Kind(
        CRITICAL,
        "The fault is still active after its undo",
        "Undo the fault by hand, as the report describes. Then run `invoke drill.recover`.",
    ),
    "probe-never-good": Kind(
        HIGH,
        "A probe was never good before the disruption",
        "The probe or the service does not work. Check that the service runs, and that the controller can reach the "
        "address of the probe.",
    ),
    "probe-bad-before": Kind(
        HIGH,
        "A probe was already bad before the fault",
        (
            "The probe also measured a problem that the fault did not cause. Find out what made the probe bad before the fault. "
            "For example, the backup may have interrupted the service."
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
        "The run ended before the service was good again",
        (
            "The drill undid its fault, but no probe saw that the service was good again before the run ended. "
            "Check the service now."
        ),
    ),
    "controller-suspended": Kind(
        HIGH,
        "The controller was suspended during the measurement",
        (
            "The clock of the machine stops while the machine sleeps. Prevent the machine from sleeping while a "
            "drill runs. Then run the drill again."
        ),
    ),
    "controller-stalled": Kind(
        LOW,
        "The controller itself stalled while it waited for answers",
        (
            "While the controller stalled, it could receive no answers. That time counts neither as good nor as "
            "bad. Give the controller more CPU time, and check its load."
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
        "To lose fewer writes, take backups more often, keep a log of the changes elsewhere (such as the WAL of PostgreSQL or the "
        "append-only file of Redis), or use a synchronous replica.",
    ),
    "removed-data-missing": Kind(
        MEDIUM,
        "Less data came back than the fault removed",
        (
            "Compare the restored data with the manifest of the backup (for example by `postgres.matches`). If they differ, "
            "the restore lost data, for example because a trigger suppressed rows: correct the restore. If they are equal, "
            "the missing data is not in the backup: the data is newer than the backup, or the backup is incomplete. If the "
            "data was written before the backup began, the backup is incomplete. Enter the missing data again, and look "
            "for records that refer to it. To lose less, take backups more often, or archive the WAL."
        ),
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
        "The timeline shows the slowest phase. Shorten this phase, or agree on an objective that can be met.",
    ),
    "objective-not-verified": Kind(
        HIGH,
        "An objective could not be verified",
        "The report shows the reason next to the figure. An objective that was not verified does not count as met.",
    ),
    # Guards, locks and leases
    "guard-tripped": Kind(
        HIGH,
        "An abort condition stopped the run",
        "Check the system that the condition watches before you run the drill again. The run undid its faults, "
        "unless the report lists changes that could not be undone.",
    ),
    "lease-lapsed": Kind(
        HIGH,
        "A target undid the faults by itself, because its lease was not renewed",
        "Check the network between controller and target, and the load of the controller. If both are good, "
        "lengthen `guard.lease`.",
    ),
    "lease-unrenewed": Kind(
        HIGH,
        "A target could not be reached for a long time, and will soon undo the faults by itself",
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
        "Another run holds the lock of the service",
        (
            "Wait until the other run ends, or stop it with `invoke drill.stop`. Only one drill can run on a "
            "service at a time."
        ),
    ),
    "lock-taken-over": Kind(
        LOW,
        "The lock of the service was taken over from another run",
        "Check the other run. `invoke drill.recover` undoes the changes that the other run left.",
    ),
    # Alerts
    "alert-missing": Kind(
        HIGH,
        "The expected alert did not come in time",
        (
            "Check in Prometheus that the expression of the rule has a value, that the `for:` of the rule is short "
            "enough, and that the watched targets answer."
        ),
    ),
    "alert-remains": Kind(
        HIGH,
        "The alert did not clear after the recovery",
        (
            "Check the labels and the value of the alert. Either the problem still exists, or the alert takes "
            "longer to clear than `within` allows."
        ),
    ),
    # The end of the run
    "residue": Kind(
        CRITICAL,
        "A change could not be undone",
        "Run `invoke drill.recover`. If that does not help, run the commands in this report.",
    ),
    "residue-active": Kind(
        CRITICAL,
        "A change that the run made is still active, so the run was not closed",
        "Undo the change with `invoke drill.recover`, or by hand as the report describes. Then close the run again.",
    ),
    "residue-unknown": Kind(
        HIGH,
        "It is not known whether a change that the run made is still active",
        (
            "Make the host of the change reachable, or check the change in another way. If the state of the change "
            "stays unknown, a second person must approve the closing."
        ),
    ),
    "contact-not-told": Kind(
        LOW,
        "A contact could not be notified of the run",
        (
            "Notify the contact in another way now. Then correct the contact's `notify` URL, or the network path "
            "to the address in this URL."
        ),
    ),
    "allowed-failure": Kind(
        LOW,
        "A step failed, and the drill allows this failure",
        "The drill gives a reason for allowing this failure. The report shows the reason beside the failed step.",
    ),
    "aborted": Kind(
        MEDIUM, "The run was stopped before its end", "When the reason for the stop is gone, run the drill again."
    ),
}
