"""What ends the set-up with a message instead of a traceback."""


class SetupError(ValueError):
    """Something that the user has to put right; the message says what and how."""
