"""The one error that a user causes."""


class Bad(ValueError):
    """A user's mistake. The message is one line: what was got, what is allowed, what to do."""
