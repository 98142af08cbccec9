"""A pretended system: actions on hosts of memory, for tests of what carries actions out."""

from drillbook.sdk.discovery import System

SYSTEM = System(__name__, actions={"pretend": ".pretend"})
