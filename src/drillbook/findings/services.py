"""Findings about services as their clients see them, and about readiness."""

from __future__ import annotations

from drillbook.findings.kind import HIGH, LOW, MEDIUM, Kind

FINDINGS: dict[str, Kind] = {
    # Services as their clients see them
    "service-state": Kind(
        HIGH,
        "A service is not in the wanted state",
        "Read the unit's log on its host; start the unit by hand with the service manager.",
    ),
    "port-state": Kind(
        HIGH,
        "A port is not in the wanted state",
        "Check that the service listens on the port, and the path between the service and the controller.",
    ),
    "http-unexpected": Kind(
        HIGH, "An HTTP answer is not the expected one", "Send the same request by hand and follow the service's log."
    ),
    "postgres-unhealthy": Kind(
        HIGH,
        "PostgreSQL is not healthy",
        "Read the server log in its data directory; check that it accepts connections and is not in recovery.",
    ),
    "mariadb-unhealthy": Kind(
        HIGH,
        "MariaDB is not healthy",
        "Read the server's error log; check its unit, the account and its password, and the number of connections.",
    ),
    "redis-unhealthy": Kind(
        HIGH,
        "Redis is not healthy",
        "Read the server's log and INFO: role, loading, persistence and memory are shown with this finding.",
    ),
    "diagnosis-wrong": Kind(
        HIGH,
        "The diagnosis did not name the cause that was injected",
        (
            "Read the evidence for and against each cause, and the checks that could not run; then correct the tree or "
            "the access."
        ),
    ),
    "verification-skipped": Kind(
        HIGH,
        "A verification step was skipped",
        "A skipped step verified nothing: remove its `when`, or move the step to a drill of its own.",
    ),
    "not-confirmed": Kind(
        HIGH, "A person answered no", "Ask that person what they saw; the report names them next to the step."
    ),
    "assumed-answer": Kind(
        LOW, "Nobody was asked: an answer was assumed", "Run the drill at a terminal if the answer of a person is required."
    ),
    "expectation": Kind(
        HIGH, "A step's result is not what the drill expects", "Compare the facts of the step with its `expect`."
    ),
    "step-failed": Kind(HIGH, "A step failed", "Read the step's output in the evidence."),
    "not-ready": Kind(
        HIGH, "The system was not ready for the drill", "Correct this and run the drill again; nothing was touched."
    ),
    "not-run-here": Kind(
        MEDIUM,
        "The drill was not run here: a service that it needs is not installed",
        "Install the named software, and start the environment again; nothing was touched.",
    ),
    # The guard and approvals
    "guard-environment": Kind(
        MEDIUM,
        "The drill may not run in this environment",
        "Add the environment to `guard.environments` if the drill is meant for it.",
    ),
    "guard-window": Kind(
        MEDIUM,
        "The present time is outside the windows in which the drill may begin",
        "Wait for the next window, or change `guard.windows` in agreement with its owners.",
    ),
    "guard-confirm": Kind(
        MEDIUM, "The environment was not confirmed", "Run the drill again with `--confirm` and the name of the environment."
    ),
    "approval-missing": Kind(
        MEDIUM,
        "Nobody has approved this plan",
        (
            "Have another person approve it: `invoke drill.approve NAME`, and copy the two files below `approvals/` to "
            "this project."
        ),
    ),
    "approval-changed": Kind(
        MEDIUM,
        "The plan was changed after it was approved",
        "Read the plan with `invoke drill.plan NAME`, and have it approved again: `invoke drill.approve NAME`.",
    ),
    "approval-expired": Kind(
        MEDIUM, "The approval has expired", "Have the plan approved again: `invoke drill.approve NAME`."
    ),
    "approval-unknown-signer": Kind(
        HIGH,
        "The approval was not signed by a permitted approver",
        "Add the key to the inventory's `approvers` file, or have a listed person approve.",
    ),
    "approval-bad-signature": Kind(
        HIGH,
        "The approval's signature does not match its text",
        "Do not use it: find out who changed it, and have the plan approved again.",
    ),
    "approval-by-operator": Kind(
        MEDIUM, "The operator approved their own drill", "Let another person approve it, or run it."
    ),
    "approval-not-verified": Kind(
        HIGH,
        "The approval could not be verified",
        "Correct the problem that the message names; without a verified approval no drill is run.",
    ),
}
