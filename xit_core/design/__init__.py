"""What is asked: worlds, encoders, scales, tasks, methods, the runs and the studies they make up. Declarations only."""
