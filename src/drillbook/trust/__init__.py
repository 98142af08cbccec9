"""Trust in the commands of a project: which there are, the digest that names them, and where it is kept who trusted it.

What only reads (``drill.check``, ``diagnose``) runs them when their digest is trusted; to start a drill is to trust it.
"""
