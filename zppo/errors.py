"""Errors that a user can act on: each says what was expected, what came and what to change."""


class ZppoError(Exception):
    """Base of every error that is shown to the user as one paragraph, without a traceback."""

    exit_code = 1


class InputError(ZppoError):
    """The recipe, the data or the command line is at fault (exit code 2)."""

    exit_code = 2


class StoreError(ZppoError):
    """An artifact is missing, damaged or of another run."""


class EngineError(ZppoError):
    """The sampler or the learner cannot go on."""
