"""What a user did wrong, in words that say what to do: the one kind of such error."""


class UserError(ValueError):
    """A mistake in a config, a flag, a file or an argument; the message has the remedy.

    The tools print it as one line, without a traceback. Everything else that is raised
    is a fault of the program, and keeps its traceback.

    Example:
        >>> raise UserError('num_samples must be at least 1, got 0')
        Traceback (most recent call last):
        mmagic_mr.errors.UserError: num_samples must be at least 1, got 0
    """


class MissingFileError(UserError, FileNotFoundError):
    """A file or folder that is not there."""
