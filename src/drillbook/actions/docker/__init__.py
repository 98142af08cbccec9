"""Containers of a Docker engine, through its API: looked at, stopped, killed, paused, cut off, squeezed, and put back."""
