"""What was found: rows, predictions, measurements; written once, published by study and scale."""
