"""The exception for mistakes of a user."""

NOTE = "note: "  # begins a line beside a result, which is no error


class Bad(ValueError):
    """A user's mistake. The message is one line: what was given, what is allowed, what to do."""


class Absent(Bad):
    """Rows that are not on this machine and cannot be fetched; nothing is damaged."""
