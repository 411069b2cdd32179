"""The design of the study: worlds, encoders, scales, tasks, methods, runs, and the studies they make up."""
