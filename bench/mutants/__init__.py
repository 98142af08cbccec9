"""Mutation testing of the modules that decide: draws mutants by a seed, and tells which of them no test notices."""
