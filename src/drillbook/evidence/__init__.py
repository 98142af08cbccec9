"""What a running system shows of itself: requests offered and logged, stacks, memory, packets. Reads only."""
