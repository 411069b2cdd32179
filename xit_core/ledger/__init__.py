"""The results: rows, predictions and measurements, written once, published by study and scale."""
