"""Errors that cfzoo raises on purpose, of three kinds that a caller or a shell can tell apart.

::

    CfzooError
    ├── InputError        2  a volume, points file, option or output folder cannot be used
    ├── ArtifactError     3  a model file is damaged, hostile or not from cfzoo
    └── EnvironmentProblem 4  the computer lacks something: a provider, disk, memory, a package

The number is the exit code of the command line. Every message says what cfzoo got,
what it expected and what to do.
"""


class CfzooError(Exception):
    """Base class of all errors that cfzoo raises on purpose."""

    exit_code = 1


class InputError(CfzooError):
    """A volume, points file, option or output folder cannot be used."""

    exit_code = 2


class ArtifactError(CfzooError):
    """A model file is refused: it is damaged, of an unknown schema, or has forbidden content."""

    exit_code = 3


class EnvironmentProblem(CfzooError):
    """The computer lacks something: an execution provider, disk space, memory, a package."""

    exit_code = 4
