"""Settings that libraries read from the environment when they are imported; applied before that."""

import os
from pathlib import Path


def prepare_environment(home: Path) -> None:
    """Keep the tools' state under `home`, stop them from phoning home, and keep their chatter away.

    What the user has set already stays. Call before prefect, mlflow, transformers or matplotlib are
    imported.
    """
    settings = {
        "PREFECT_HOME": str(home.absolute() / "prefect"),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # The first start of the embedded server migrates its database; the default of 20 s is too short.
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        "PREFECT_LOGGING_LEVEL": "WARNING",
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "HF_HUB_DISABLE_TELEMETRY": "1",
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
