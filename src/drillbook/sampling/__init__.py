"""What a sample tells of what it was drawn from, each figure with its 95 % interval; pure."""
