"""What is asked: worlds, encoders, scales, tasks, methods, runs, and the studies they make up."""
