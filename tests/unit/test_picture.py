from pathlib import Path

from schemas.buffer import ReplayBuffer
from schemas.report import StepReport, ValidationReport
from tests.build import a_round, group
from zppo.core.report import step_report
from zppo.picture import draw_accuracy


def report(index: int, accuracy: float | None) -> StepReport:
    validation = None if accuracy is None else ValidationReport(questions=5, accuracy=accuracy)
    round_ = a_round(group([0, 1], round_index=index)).model_copy(update={"index": index})
    return step_report(round_, 0.5, ReplayBuffer(), (), (), (), None, validation)


def test_the_picture_is_a_png_whatever_was_validated(tmp_path: Path) -> None:
    for name, base, reports in (
        ("all", ValidationReport(questions=5, accuracy=0.2), [report(1, 0.3), report(2, None)]),
        ("no-validation", None, [report(1, None)]),
        ("no-rounds", None, []),
    ):
        path = tmp_path / f"{name}.png"
        draw_accuracy(base, reports, name, path)
        assert path.read_bytes().startswith(b"\x89PNG")
