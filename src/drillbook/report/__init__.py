"""Reports, rendered from the journal alone."""
