"""Actions `docker.*`: inspect, start and limit containers, inject faults into containers, and back up volumes.

Lives here: one module for each group of these actions.
Lives elsewhere: the client of the engine, and the actions on Compose projects (`systems.docker`).
"""
