"""Whether what a recipe names on this machine is there."""

from pathlib import Path

from schemas.config.data import FilesSource
from schemas.config.run import RunConfig
from schemas.config.teacher import ModelTeacher, RecordedTeacher
from zppo.data.files import find_files
from zppo.errors import InputError
from zppo.rendering import load_templates


def check_references(config: RunConfig) -> None:
    """Find the template sets and the data files of a recipe; hub names and the registry are not asked.

    Raises:
        InputError: One of them is not there, or is not what it should be.
    """
    load_templates(config.student.templates)
    if isinstance(config.teacher, ModelTeacher):
        load_templates(config.teacher.model.templates)
    if isinstance(config.teacher, RecordedTeacher) and not Path(config.teacher.path).is_file():
        raise InputError(f"teacher.path: no such file: {config.teacher.path}; expected recorded responses")
    for source in config.data.sources:
        if isinstance(source, FilesSource):
            find_files(source.paths)
