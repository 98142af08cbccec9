"""How a service grows from run to run, when its disk is full, and when its restore takes longer than it may; pure."""
