"""The one error that a user, rather than the code, can mend."""


class InputError(ValueError):
    """What was given cannot be used; the message says what it was and how to mend it.

    The command line prints it as one sentence and exits with code 2, without a traceback.
    """
