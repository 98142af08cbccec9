"""Actions `docker.*`: containers looked at, stopped, killed, paused, cut off, squeezed, and put back."""
