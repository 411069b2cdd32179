"""Evaluation of a model: predictions, sentence vectors, exact search and mining."""
