"""What is trained: encoder, heads by kind of task, methods, batches, the loop, checkpoints."""
