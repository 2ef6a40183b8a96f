"""The one exception that a user is meant to see."""


class UserError(Exception):
    """Something the user gave is wrong; the message is one line that says what, and what to do about it.

    The command line prints it as ``error: MESSAGE`` and exits with status 2.
    """
