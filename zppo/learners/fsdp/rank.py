"""The program of one rank: does what the training process says, together with the other ranks."""

import os
import socket
import sys
from datetime import timedelta
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh

from zppo.errors import EngineError
from zppo.learners import checkpoint
from zppo.learners.fsdp.job import Job, Work
from zppo.learners.fsdp.orphans import end_with_parent
from zppo.learners.fsdp.sharding import Shards
from zppo.learners.fsdp.whole import write_whole
from zppo.learners.fsdp.wire import Arrays, Channel, Command, Reply, decode_rows, mini_batch
from zppo.learners.model import SplitModel
from zppo.learners.objectives import DistillationObjective, Objective, PolicyObjective
from zppo.learners.updater import Updater
from zppo.ports import StaleRolloutsError

_PATIENCE = timedelta(minutes=30)
"""How long a rank waits for the others within a step before it takes them for hung and ends."""


class Rank:
    """One rank's share of the learner."""

    def __init__(self, work: Work, device: str) -> None:
        """Load the student, and the teacher where there is one, and deal them out."""
        self._student = work.student.load()
        models = [self._student]
        objective: Objective
        if work.teacher is None:
            assert work.bounds is not None, "one of the two objectives is asked for"
            objective = PolicyObjective(work.bounds, work.temperature)
        else:
            models.append(work.teacher.load().requires_grad_(False))
            objective = DistillationObjective(models[-1])
        split = SplitModel(self._student)
        self._team = Shards(models, init_device_mesh(device, (dist.get_world_size(),)))
        self._updater = Updater(split, work.config, objective, work.temperature, self._team)

    def do(self, command: Command, arrays: Arrays) -> tuple[Reply, Arrays]:
        """Carry out a command, as all the other ranks do."""
        if command.do == "update":
            rows = decode_rows(command.names, arrays)
            try:
                return Reply(statistics=self._updater.update(mini_batch(rows), command.check)), {}
            except StaleRolloutsError as error:
                return Reply(stale=error.drift), {}
            except EngineError as error:
                return Reply(refused=str(error)), {}
        if command.do == "logprobs":
            logprobs = self._updater.logprobs(decode_rows(command.names, arrays))
            return Reply(), {"logprobs": np.concatenate([np.zeros(0), *map(np.array, logprobs)])}
        assert command.path is not None, "the other commands are about files"
        if command.do == "load":
            self._load(command.path)
        elif command.do == "save":
            self._save(command.path)
        else:
            write_whole(self._if_first(command.path), dict(self._student.named_parameters()))
        return Reply(), {}

    def _save(self, directory: Path) -> None:
        """Write the optimizer's part of a checkpoint."""
        updater = self._updater
        moments = checkpoint.optimizer_tensors(updater.optimizer, updater.parameters)
        write_whole(self._if_first(directory / checkpoint.OPTIMIZER_FILE), moments)
        if self._team.rank == 0:
            checkpoint.write_state(directory, updater.parameters, updater.updates)

    @torch.no_grad()
    def _load(self, directory: Path) -> None:
        updater = self._updater
        state = checkpoint.read_state(directory, updater.parameters)
        moments = checkpoint.read_optimizer(directory, updater.parameters)
        whole = dict(checkpoint.read_weights(directory, self._student).named_parameters())
        for name, parameter in self._student.named_parameters():
            parameter.copy_(self._team.own(whole[name], parameter))
        updater.restore(moments, state.updates)

    def _if_first(self, path: Path) -> Path | None:
        return path if self._team.rank == 0 else None


def serve(channel: Channel, rank: Rank) -> None:
    """Carry out commands until the training process ends it; raises `EOFError` where that is gone."""
    while True:
        said, arrays = channel.receive()
        command = Command.model_validate_json(said)
        if command.do == "end":
            return
        reply = rank.do(command, arrays)
        if dist.get_rank() == 0:
            channel.send(*reply)


def main(agent: int, path: Path) -> None:
    """Join the others and serve."""
    end_with_parent(agent)
    job = Job.read(path)
    torch.set_num_threads(job.work.threads)
    if job.device == "cuda":
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    # Numbers for statistics are on the CPU, shards where the device says.
    backend = "gloo" if job.device == "cpu" else "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, timeout=_PATIENCE)
    rank = Rank(job.work, job.device)
    channel = Channel(socket.create_connection((job.host, job.port)))
    channel.introduce(job.token, dist.get_rank())
    serve(channel, rank)
    dist.destroy_process_group()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
