"""What this machine offers, from a YAML file and the command line."""

from pathlib import Path

from pydantic import ValidationError

from schemas.config.run import Runtime
from schemas.errors import explain
from zppo.errors import InputError
from zppo.recipes import read_settings

MACHINE_FILE = "machine.yaml"
"""In the home of runs; used unless another file is named."""


def load_machine(home: Path, file: Path | None, device: str | None, threads: int | None) -> Runtime:
    """The machine as a file describes it, with the command line's words on top.

    Args:
        home: Home of the runs.
        file: YAML with settings of `Runtime`; none: `machine.yaml` in the home, where there is one.
        device: As on the command line; none: the file's.
        threads: Likewise.

    Raises:
        InputError: The file is not there, or does not validate.
    """
    file = file or (home / MACHINE_FILE if (home / MACHINE_FILE).is_file() else None)
    if file is not None and not file.is_file():
        raise InputError(f"no machine file at {file}; expected YAML, such as `device: cuda:0`")
    settings = read_settings(file) if file is not None else {}
    if "home" in settings:
        raise InputError(f"{file}: the home is not the file's to say; use --home")
    said = {"home": home, "device": device, "threads": threads}
    settings |= {key: value for key, value in said.items() if value is not None}
    try:
        return Runtime.model_validate(settings)
    except ValidationError as error:
        lines = "\n".join(f"  {line}" for line in explain(error, Runtime))
        raise InputError(f"the machine file {file} is not valid:\n{lines}") from error
