"""How runs are executed: one notebook, a study of notebooks, within a time budget, or without notebooks."""
