"""Training: encoder, heads by kind of task, methods, batches, the training loop, checkpoints."""
