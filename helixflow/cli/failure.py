"""How a command fails: one sentence for a person, and an exit code for scripts.

HelixFlowError
└── CommandFailed      exit code 1: it was tried and did not work
    ├── NotRunning     exit code 3: there is no stack to talk to
    └── PortTaken      exit code 4: an address is in use by something else
"""

from __future__ import annotations

from helixflow.errors import HelixFlowError

CONFIG_EXIT = 2
"""The exit code for a configuration that cannot be used; also typer's for a wrong option."""

INTERRUPTED_EXIT = 130


class CommandFailed(HelixFlowError):
    """A command did not do what it was asked to; the message says what to do about it."""

    exit_code = 1


class NotRunning(CommandFailed):
    """No stack runs from this home folder."""

    exit_code = 3


class PortTaken(CommandFailed):
    """An address is in use by something that is not ours."""

    exit_code = 4
