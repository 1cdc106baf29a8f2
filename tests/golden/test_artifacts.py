"""Files that earlier versions of the program wrote are read as if written today.

`artifacts/v1/` was written by the program as it was at schema version 1 of rounds, step reports and pools:
the second round of a run of the method `zppo` with scripted ports, and a pool of four responses.
"""

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from schemas.manifest import Identity
from schemas.report import StepReport
from schemas.teacher import AnsweredQuestion, TeacherPool
from zppo.errors import StoreError
from zppo.stores.artifacts import read_artifact
from zppo.stores.local import LocalStore
from zppo.stores.rounds import read_round, read_served, write_round
from zppo.teachers.pool import POOL_SCHEMA, PoolTable

V1 = Path(__file__).parent / "artifacts" / "v1"


def test_a_round_of_version_1_is_read_with_its_groups_and_its_eligible_prompts_by_kind() -> None:
    old = read_round(V1)
    assert (old.schema_version, old.index) == (2, 2)
    assert old.eligible == {"bcq": 2, "ncq": 2}
    assert [group.prompt.kind for group in old.groups] == ["plain"] * 5 + ["bcq"]
    assert all(len(group.rollouts) == 4 for group in old.groups)
    assert old.demonstrations == ()
    assert [each.served for each in read_served(V1 / "round.json")] == [4, 4]


def test_a_round_of_version_1_is_written_as_one_of_today(tmp_path: Path) -> None:
    write_round(tmp_path, read_round(V1))
    assert read_round(tmp_path) == read_round(V1)


def test_a_step_report_of_version_1_is_read() -> None:
    old = StepReport.model_validate_json((V1 / "step_report.json").read_bytes())
    assert old.schema_version == 2
    assert old.eligible == {"bcq": 0.4, "ncq": 0.4}
    assert (old.teacher.hints, old.teacher.compression_tokens) == (0, 0)
    assert len(old.updates) == 2


def test_a_teacher_pool_of_version_1_is_read() -> None:
    old = TeacherPool.model_validate_json((V1 / "teacher_pool.json").read_bytes())
    assert (old.schema_version, old.responses, old.hints) == (2, 4, 0)


def test_a_journal_of_version_1_is_read() -> None:
    old = AnsweredQuestion.model_validate_json((V1 / "answered_question.json").read_bytes())
    assert [each.tokens_drawn for each in old.responses] == [4, 4]


def test_the_columns_that_a_pool_of_version_1_lacks_are_filled() -> None:
    assert set(pq.read_schema(V1 / "responses.parquet").names) < set(POOL_SCHEMA.names)
    responses = PoolTable(V1 / "responses.parquet").responses("q1")
    assert [(each.correct, each.hint, each.token_ids) for each in responses] == [
        (True, None, ()),
        (False, None, ()),
    ]
    assert responses[0].summary == r"\boxed{7}"


@pytest.mark.parametrize(
    ("version", "message"), [(3, "written by a newer program; upgrade this one"), (0, "repeat the stage")]
)
def test_an_artifact_of_a_version_that_is_not_read_is_refused_by_its_file(
    tmp_path: Path, version: int, message: str
) -> None:
    store = LocalStore(tmp_path)
    with store.commit("a", Identity(stage="update", inputs={}, parents=())) as staging:
        content = (V1 / "step_report.json").read_text()
        changed = content.replace('"schema_version": 1', f'"schema_version": {version}')
        (staging.directory / "report.json").write_text(changed)
    with pytest.raises(StoreError, match=rf"cannot read .*report\.json: .*{message}"):
        read_artifact(store, "a", "report.json", StepReport)
