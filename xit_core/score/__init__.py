"""What an evaluation does with a model: predictions, sentence vectors, exact search, mining, probe."""
