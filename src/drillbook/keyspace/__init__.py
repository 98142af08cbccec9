"""The keyspace of a Redis or Valkey server: read it, save it, bring it back, compare."""
