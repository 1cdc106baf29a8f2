"""Settings that libraries read from the environment when they are imported; applied before that."""

import os
from pathlib import Path

from zppo.errors import InputError


def prepare_environment(home: Path) -> None:
    """Keep the tools' state under `home`, stop them from phoning home, and keep their chatter away.

    What the user has set already stays. Call before prefect, mlflow, transformers or matplotlib are
    imported. Raises `InputError` when `home` cannot be written to.
    """
    state = home.absolute() / "prefect"
    try:
        state.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the home directory {home} cannot be made: {error}; choose another") from error
    settings = {
        "PREFECT_HOME": str(state),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # The first start of the embedded server migrates its database; the default of 20 s is too short.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        # Errors reach the user through the command line; the pages keep the log.
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
        # Its background services print each event that a dead server does not take.
        "PREFECT_INTERNAL_LOGGING_LEVEL": "CRITICAL",
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # A server's own background jobs, which nothing here uses: eight more processes.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        # Bars of every file read or written; set it to 0 to watch a download.
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
        "GIT_PYTHON_REFRESH": "quiet",
        "TOKENIZERS_PARALLELISM": "false",
        "TRANSFORMERS_VERBOSITY": "error",
        "MPLBACKEND": "Agg",
    }
    for name, value in settings.items():
        os.environ.setdefault(name, value)


def tracking_uri(home: Path) -> str:
    """The MLflow database below `home`."""
    return f"sqlite:///{home.absolute() / 'mlflow.db'}"
