"""Vectors: the content of a Qdrant collection, its backup as a scroll export, and what differs."""
