"""What can go wrong with a stack, each with the exit code that the command ends with.

0 is done, 1 failed, 2 a wrong option or setting, 3 the stack is not up.
"""


class StackError(Exception):
    """The stack cannot do this; the message says why and how to mend it."""

    exit_code = 1


class Misuse(StackError):
    """An option or a setting is wrong, or does not fit this machine."""

    exit_code = 2


class NotUp(StackError):
    """The command needs a running stack."""

    exit_code = 3
