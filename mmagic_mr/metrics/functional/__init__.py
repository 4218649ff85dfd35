"""What the metrics compute, as functions of torch tensors; MMagic is not needed."""
