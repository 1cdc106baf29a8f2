"""Models dealt out among processes, each with a shard of every weight (FSDP2)."""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.nn.utils import get_total_norm
from transformers import PreTrainedModel

Result = TypeVar("Result")


class _Root(nn.Module):
    """Several models, so that what they share out is together while any part of them is used.

    The learner runs a model's layers and its head on their own, so no model's own forward pass would do.
    """

    def __init__(self, models: Sequence[PreTrainedModel]) -> None:
        super().__init__()
        self.models = nn.ModuleList(models)
        self.train(False)

    def forward(self, compute: Callable[[], Result]) -> Result:
        return compute()


class Shards:
    """`Team` of the processes of a group, over models that it deals out.

    Outside forward and backward passes every process holds its shards alone. Gradients are added up, not
    averaged, since the loss is divided by the tokens of all processes already.
    """

    def __init__(self, models: Sequence[PreTrainedModel], mesh: DeviceMesh) -> None:
        """Deal the models out, in place and onto the mesh's device; layers are gathered one at a time."""
        for model in models:
            names = set(model._no_split_modules or ())
            layers = [each for each in model.modules() if type(each).__name__ in names]
            for layer in reversed(layers):  # what is inside another comes first
                fully_shard(layer, mesh=mesh)
        self._root = _Root(models)
        fully_shard(self._root, mesh=mesh)  # in place: it becomes an `FSDPModule` too
        for part in self._root.modules():
            if isinstance(part, FSDPModule):
                part.set_gradient_divide_factor(1.0)
                part.set_force_sum_reduction_for_comms(True)  # gloo can do no other

    @property
    def rank(self) -> int:
        """This process's place in the group."""
        return dist.get_rank()

    @property
    def size(self) -> int:
        """Processes in the group."""
        return dist.get_world_size()

    def forward(self, compute: Callable[[], Result]) -> Result:
        """Run it with embeddings and heads at hand; layers come and go by themselves."""
        result: Result = self._root(compute)
        if not torch.is_grad_enabled():  # otherwise the backward pass does it
            _sharded(self._root).reshard()
        return result

    def total(self, values: Tensor) -> Tensor:
        """The sum of everyone's values."""
        values = values.clone()
        dist.all_reduce(values)
        return values

    def norm(self, tensors: Iterable[Tensor]) -> Tensor:
        """Their norm, over all shards."""
        norm = get_total_norm(tensors)
        return norm.full_tensor() if isinstance(norm, DTensor) else norm

    def own(self, whole: Tensor, like: Tensor) -> Tensor:
        """This process's shard; nothing is sent."""
        if not isinstance(like, DTensor):
            return whole
        placed = whole.to(like.device)
        return distribute_tensor(placed, like.device_mesh, like.placements, src_data_rank=None)


def _sharded(module: nn.Module) -> FSDPModule:
    assert isinstance(module, FSDPModule), "fully_shard made it one"
    return module
