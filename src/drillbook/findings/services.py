"""Findings on services as their clients see them, and on what is not ready."""

from __future__ import annotations

from drillbook.findings.kind import HIGH, LOW, MEDIUM, Kind

FINDINGS: dict[str, Kind] = {
    # The service as its clients see it
    "service-state": Kind(
        HIGH,
        "A service is not in the wanted state",
        "Look at the unit's log on its host; start it by hand with the service manager.",
    ),
    "port-state": Kind(
        HIGH,
        "A port is not in the wanted state",
        "Look whether the service listens there, and what stands between it and the controller.",
    ),
    "http-unexpected": Kind(
        HIGH, "An HTTP answer is not the expected one", "Send the same request by hand and follow the service's log."
    ),
    "postgres-unhealthy": Kind(
        HIGH,
        "PostgreSQL does not serve as it should",
        "Read the server log in its data directory; check that it accepts connections and is not in recovery.",
    ),
    "redis-unhealthy": Kind(
        HIGH,
        "Redis does not serve as it should",
        "Read the server's log and INFO: role, loading, persistence and memory are beside this finding.",
    ),
    "diagnosis-wrong": Kind(
        HIGH,
        "The diagnosis did not name the cause that was injected",
        "Read what spoke for and against each cause, and what could not be looked at; then mend the tree or the access.",
    ),
    "verification-skipped": Kind(
        HIGH,
        "A verification was left out",
        "What was not looked at was not verified: take its `when` away, or give what it is meant for a drill of its own.",
    ),
    "not-confirmed": Kind(HIGH, "A person answered no", "Ask who answered what they saw; it stands beside the step."),
    "assumed-answer": Kind(
        LOW, "Nobody was asked: an answer was assumed", "Run the drill at a terminal when a person's look is meant to count."
    ),
    "expectation": Kind(
        HIGH, "A step's result is not what the drill expects", "Compare the facts of the step with its `expect`."
    ),
    "step-failed": Kind(HIGH, "A step failed", "Read the step's output in the evidence."),
    "not-ready": Kind(
        HIGH, "The system was not ready for the drill", "Put this right and run the drill again; nothing was touched."
    ),
    "not-run-here": Kind(
        MEDIUM,
        "The drill was not run here: a service that it needs is not there",
        "Install what is named, and start the environment again; nothing was touched.",
    ),
    # The guard
    "guard-environment": Kind(
        MEDIUM,
        "The drill may not run in this environment",
        "Add the environment to `guard.environments` if the drill is meant for it.",
    ),
    "guard-window": Kind(
        MEDIUM,
        "It is outside the windows in which the drill may begin",
        "Wait for the next window, or change `guard.windows` with those who agreed on it.",
    ),
    "guard-confirm": Kind(
        MEDIUM, "The environment was not confirmed", "Run the drill again with `--confirm` and the name of the environment."
    ),
    "approval-missing": Kind(
        MEDIUM,
        "Nobody has approved this plan",
        "Let somebody else approve it: `invoke drill.approve NAME`, and bring the two files below `approvals/` here.",
    ),
    "approval-changed": Kind(
        MEDIUM,
        "The plan was changed after it was approved",
        "Look at it with `invoke drill.plan NAME`, and let it be approved again: `invoke drill.approve NAME`.",
    ),
    "approval-expired": Kind(
        MEDIUM, "The approval's time is over", "Let it be approved again: `invoke drill.approve NAME`."
    ),
    "approval-unknown-signer": Kind(
        HIGH,
        "The approval was signed by nobody who may approve",
        "Add the key to the inventory's `approvers` file, or let somebody in it approve.",
    ),
    "approval-bad-signature": Kind(
        HIGH,
        "The approval's signature does not fit its text",
        "Do not use it: find out who changed it, and let the plan be approved again.",
    ),
    "approval-by-operator": Kind(
        MEDIUM, "The operator approved their own drill", "Let another person approve it, or run it."
    ),
    "approval-not-verified": Kind(
        HIGH,
        "The approval could not be verified",
        "Put right what the message says; without a verified approval nothing is run.",
    ),
}
