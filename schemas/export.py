"""JSON Schemas of the recipes and of every artifact, for readers in other languages."""

import json
from pathlib import Path

from schemas.base import Frozen
from schemas.buffer import ReplayBuffer
from schemas.checkpoint import LearnerState
from schemas.clipping import ClippedTokens
from schemas.config.run import RunConfig, Runtime
from schemas.config.study import StudyConfig
from schemas.evaluation import AnsweringCost, Evaluation
from schemas.manifest import SealedManifest
from schemas.pocket import PocketCard
from schemas.prepared import PreparedData
from schemas.promotion import ChampionMove, PromotionDecision, RegisteredCard
from schemas.question import Question
from schemas.report import RoundTimings, StepReport
from schemas.rollout import Group, Prompt, Rollout, Round
from schemas.run import RunRecord, RunStatus
from schemas.state import TrainState
from schemas.study import StudyRun
from schemas.teacher import AnsweredQuestion, TeacherPool

FOLDER = Path(__file__).parent / "json"
"""Where the package keeps them."""

EXPORTED: dict[str, type[Frozen]] = {
    "answered_question": AnsweredQuestion,
    "answering_cost": AnsweringCost,
    "champion_move": ChampionMove,
    "clipped_tokens": ClippedTokens,
    "evaluation": Evaluation,
    "group": Group,
    "learner_state": LearnerState,
    "manifest": SealedManifest,
    "pocket_card": PocketCard,
    "prepared_data": PreparedData,
    "promotion_decision": PromotionDecision,
    "prompt": Prompt,
    "question": Question,
    "recipe": RunConfig,
    "registered_card": RegisteredCard,
    "replay_buffer": ReplayBuffer,
    "rollout": Rollout,
    "round": Round,
    "round_timings": RoundTimings,
    "run": RunRecord,
    "runtime": Runtime,
    "status": RunStatus,
    "step_report": StepReport,
    "study": StudyConfig,
    "study_run": StudyRun,
    "teacher_pool": TeacherPool,
    "train_state": TrainState,
}
"""By file name; a test holds this list against every artifact that the package defines."""


def schema_text(model: type[Frozen]) -> str:
    """The JSON Schema of one model, with sorted keys."""
    return json.dumps(model.model_json_schema(), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def export(folder: Path) -> list[Path]:
    """Write every schema into `folder` and remove those of models that are gone."""
    folder.mkdir(parents=True, exist_ok=True)
    for left_over in set(folder.glob("*.json")) - {folder / f"{name}.json" for name in EXPORTED}:
        left_over.unlink()
    written = [folder / f"{name}.json" for name in EXPORTED]
    for path in written:
        path.write_text(schema_text(EXPORTED[path.stem]), encoding="utf-8")
    return written


def stale(folder: Path) -> list[str]:
    """Names of the schemas in `folder` that differ from their models, are missing or belong to none."""
    found = {path.stem: path.read_bytes() for path in folder.glob("*.json")}
    expected = {name: schema_text(model).encode() for name, model in EXPORTED.items()}
    return sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
