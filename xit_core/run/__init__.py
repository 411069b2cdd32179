"""How runs are executed: one notebook, a study of them, a budget of time, a study without notebooks."""
