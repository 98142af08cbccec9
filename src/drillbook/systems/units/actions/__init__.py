"""Actions `service.*`, `settings.*` and `env.*`."""
