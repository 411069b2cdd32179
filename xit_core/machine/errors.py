"""The exceptions for mistakes of a user, and for runs that failed."""

NOTE = "note: "  # begins a line beside a result, which is no error


class Bad(ValueError):
    """A user's mistake. The message is one line: what was given, what is allowed, what to do."""


class Failed(RuntimeError):
    """A notebook or run failed, not by a user's mistake. The message is one line; a copy of the notebook is
    kept.
    """


class Absent(Bad):
    """Rows that are not on this machine and cannot be fetched; nothing is damaged."""
