"""Evaluation of a model: predictions, sentence vectors, exact search, mining, and a linear probe."""
