"""Containers of a Docker engine, as actions look at them and change them."""
