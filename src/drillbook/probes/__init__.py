"""The probes, one module a family."""
