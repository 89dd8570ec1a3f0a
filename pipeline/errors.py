"""Errors that the user can mend: said in a line or two, without a traceback."""


class UserError(Exception):
    """The message says what is wrong, where (file, key), and the remedy."""
