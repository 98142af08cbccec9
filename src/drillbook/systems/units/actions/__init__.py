"""Actions `service.*`, `settings.*` and `env.*`.

Lives here: starting and stopping of units, and changes of a service's env file.
Lives elsewhere: the log of a unit, and the service kind (`systems.units`).
"""
