"""Rounds of TRL's GRPOTrainer: runs in the environment of `make bench-env`."""

import sys
import tempfile
import time
from importlib.metadata import version

import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback, TrainerControl, TrainerState
from trl import GRPOConfig, GRPOTrainer

from tests.benchmarks.sides import Told, Work, rewards_of, work_of

ENDLESS = 1_000_000


class Rounds(TrainerCallback):
    """Waits before each generation and answers after the last update on it."""

    def __init__(self, told: Told, updates: int) -> None:
        self._told, self._updates = told, updates
        self._start = (0.0, 0.0)

    def on_step_begin(
        self, args: GRPOConfig, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """The trainer generates within the step that follows."""
        if state.global_step % self._updates == 0:
            self._told.wait()
            self._start = time.process_time(), time.perf_counter()

    def on_step_end(
        self, args: GRPOConfig, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """After an optimizer step."""
        if state.global_step % self._updates == 0:
            cpu, wall = self._start
            self._told.answer({"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall})


def settings(work: Work, out: str) -> GRPOConfig:
    """What both sides do, and of TRL's defaults what would make it slower here: see the results' notes."""
    rollouts = len(work.prompts) * work.group // work.updates
    assert rollouts % work.micro_batch == 0, "a micro-batch divides a mini-batch"
    return GRPOConfig(
        output_dir=out,
        per_device_train_batch_size=work.micro_batch,
        gradient_accumulation_steps=rollouts // work.micro_batch,
        generation_batch_size=len(work.prompts) * work.group,
        num_generations=work.group,
        max_completion_length=work.response_tokens,
        max_steps=ENDLESS,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        learning_rate=1e-6,
        temperature=1.0,
        beta=0.0,
        shuffle_dataset=False,
        report_to="none",
        save_strategy="no",
        logging_steps=ENDLESS,
        disable_tqdm=True,
    )


def main() -> None:
    """Load, say so, and take rounds."""
    told, work = Told(), work_of(sys.argv)
    torch.set_num_threads(work.threads)

    def reward(prompts: list[str], completions: list[str], **_: object) -> list[float]:
        return list(map(float, rewards_of(prompts, completions, work)))

    with tempfile.TemporaryDirectory() as out:
        trainer = GRPOTrainer(
            model=AutoModelForCausalLM.from_pretrained(work.model, dtype=torch.float32),
            processing_class=AutoTokenizer.from_pretrained(work.model),
            reward_funcs=reward,
            args=settings(work, out),
            train_dataset=Dataset.from_dict({"prompt": work.prompts}),
            callbacks=[Rounds(told, work.updates)],
        )
        told.answer({name: version(name) for name in ("trl", "torch", "transformers")})
        trainer.train()


if __name__ == "__main__":
    main()
