"""Rows: where they are stored, how they become checked examples, which are present and which are missing."""
