"""Rows: where they are stored, how they become checked examples, what is there and what is missing."""
