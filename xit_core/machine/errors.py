"""The one exception for mistakes of a user."""


class Bad(ValueError):
    """A user's mistake. The message is one line: what was given, what is allowed, what to do."""
