"""What a training step costs by four schemes of the same weights, for any host."""
