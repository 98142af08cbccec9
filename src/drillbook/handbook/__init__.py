"""The handbook as drills: its page in docs/, and the record of how each drill of it last ended."""
