"""Simulated system: actions on in-memory hosts, for tests of the code that runs actions."""

from drillbook.sdk.discovery import System

SYSTEM = System(__name__, actions={"pretend": ".pretend"})
