"""Backups of objects and of files: their manifests, how they are read where they lie, and how they are compared."""
