"""Findings about services as their clients see them, and about the readiness of the system."""

from __future__ import annotations

from drillbook.findings.kind import HIGH, LOW, MEDIUM, Kind

FINDINGS: dict[str, Kind] = {
    # Services as their clients see them
    "service-state": Kind(
        HIGH,
        "A service is not in the wanted state",
        "Read the log of the unit on its host. Start the unit by hand with the service manager.",
    ),
    "port-state": Kind(
        HIGH,
        "A port is not in the wanted state",
        "Check that the service listens on the port, and check the network path between the service and the controller.",
    ),
    "http-unexpected": Kind(
        HIGH, "An HTTP answer is not the expected one", "Send the same request by hand, and follow the log of the service."
    ),
    "postgres-unhealthy": Kind(
        HIGH,
        "PostgreSQL is not healthy",
        "Read the server log in the data directory. Check that the server accepts connections and is not in recovery.",
    ),
    "mariadb-unhealthy": Kind(
        HIGH,
        "MariaDB is not healthy",
        "Read the error log of the server. Check its unit, the account with its password, and the number of connections.",
    ),
    "redis-unhealthy": Kind(
        HIGH,
        "Redis is not healthy",
        "Read the log of the server, and the output of INFO. This finding shows the role of the server, whether it is "
        "still loading its data, the state of its persistence, and its memory.",
    ),
    "diagnosis-wrong": Kind(
        HIGH,
        "The diagnosis did not name the cause that was injected",
        (
            "Read the evidence for and against each cause, and the list of checks that could not run. Then correct "
            "the tree, or give the checks the access that they lack."
        ),
    ),
    "verification-skipped": Kind(
        HIGH,
        "A verification step was skipped",
        "A skipped step verified nothing. Remove `when` from the step, or move the step to a drill of its own.",
    ),
    "not-confirmed": Kind(
        HIGH,
        "A person answered no to a question of the drill",
        "Ask that person what they saw. The report names the person next to the step.",
    ),
    "assumed-answer": Kind(
        LOW,
        "The drill has a question that no person answered, so that a default answer was used",
        "Run the drill at a terminal if the answer of a person is required.",
    ),
    "expectation": Kind(
        HIGH,
        "The result of a step is not the result that the drill expects",
        "Compare the facts of the step with its `expect`.",
    ),
    "step-failed": Kind(HIGH, "A step failed", "Read the step's output in the evidence."),
    "not-ready": Kind(
        HIGH,
        "The system was not ready for the drill",
        "Correct the problems that this report names, and run the drill again. Nothing was changed.",
    ),
    "not-run-here": Kind(
        MEDIUM,
        "The drill was not run here, because it needs a service that is not installed",
        "Install the named software, and start the environment again. Nothing was changed.",
    ),
    # The guard and approvals
    "guard-environment": Kind(
        MEDIUM,
        "The drill may not run in this environment",
        "Run it with an inventory of a permitted environment (`--inventory NAME`). If the drill is meant for this environment, add "
        "the environment to `guard.environments`.",
    ),
    "guard-window": Kind(
        MEDIUM,
        "The present time is outside of the windows in which the drill may begin",
        "Wait for the next window, or change `guard.windows` in agreement with the owners of the system.",
    ),
    "guard-confirm": Kind(
        MEDIUM, "The environment was not confirmed", "Run the drill again with `--confirm` and the name of the environment."
    ),
    "approval-missing": Kind(
        MEDIUM,
        "Nobody has approved this plan",
        (
            "Have another person approve the plan with `invoke drill.approve NAME`. Then copy the two files of the "
            "approval to `approvals/` of this project."
        ),
    ),
    "approval-changed": Kind(
        MEDIUM,
        "The plan was changed after it was approved",
        "Read the plan with `invoke drill.plan NAME`, and have it approved again with `invoke drill.approve NAME`.",
    ),
    "approval-expired": Kind(
        MEDIUM, "The approval has expired", "Have the plan approved again with `invoke drill.approve NAME`."
    ),
    "approval-unknown-signer": Kind(
        HIGH,
        "The approval was not signed by a permitted approver",
        "Add the key of the approver to the file `approvers` of the inventory, or have a listed person approve the plan.",
    ),
    "approval-bad-signature": Kind(
        HIGH,
        "The signature of the approval does not match its text",
        "Do not use the approval. Find out who changed it, and have the plan approved again.",
    ),
    "approval-by-operator": Kind(
        MEDIUM, "The operator approved their own drill", "Let another person approve or run the drill."
    ),
    "approval-not-verified": Kind(
        HIGH,
        "The approval could not be verified",
        "Correct the problem that the message names. No drill runs without a verified approval.",
    ),
    "campaign-plan-differs": Kind(
        HIGH,
        "The plan of this machine is not the plan of the campaign",
        (
            "Bring the project on this machine (drills, inventories and plugins) and Drillbook itself to the state of the "
            "machine that runs the campaign. Then start a campaign for this site again."
        ),
    ),
}
