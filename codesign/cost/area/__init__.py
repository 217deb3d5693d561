"""What an NPU takes: blocks that are counted, factors and a correction that are learned."""
