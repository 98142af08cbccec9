"""Actions `files.*`: digests, archives, what can happen to files, and comparing them."""
