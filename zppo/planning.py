"""The command `zppo check`: whether a recipe is valid, and what it will take."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from zppo.options import RUNS, Machine, Overrides, Recipe

if TYPE_CHECKING:
    from schemas.config.run import RunConfig
    from zppo.plan.hardware import Hardware

_Tflops = Annotated[float, typer.Option(min=1e-6, help="Sustained TFLOP/s of a device.")]
_Bandwidth = Annotated[
    float | None, typer.Option(min=1e-3, help="Sustained memory bandwidth of a device in GB/s.")
]
_Memory = Annotated[float | None, typer.Option(min=1e-3, help="Memory of a device in GB: says what fits.")]
_Price = Annotated[float | None, typer.Option(min=0.0, help="Price of a device for an hour.")]
_Gpus = Annotated[
    int | None,
    typer.Option(min=1, help="Devices that rollouts and updates share evenly; else as in the machine file."),
]
_TeacherGpus = Annotated[int | None, typer.Option(min=0, help="Devices of the teacher's own, likewise.")]
_Prompt = Annotated[float | None, typer.Option(min=1, help="Mean tokens of a prompt, if not at the limit.")]
_Response = Annotated[float | None, typer.Option(min=1, help="Mean tokens of a response, likewise.")]
_Hard = Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of questions that are hard.")]
_Spread = Annotated[
    float,
    typer.Option(min=0.0, max=1.0, help="Share of groups whose rewards differ: no other is learnt from."),
]


def check(  # noqa: PLR0913, PLR0917 (an option each)
    recipe: Recipe,
    overrides: Overrides = None,
    machine: Machine = None,
    tflops: _Tflops = 0.02,
    bandwidth: _Bandwidth = None,
    gpu_memory: _Memory = None,
    gpu_price: _Price = None,
    gpus: _Gpus = None,
    teacher_gpus: _TeacherGpus = None,
    mean_prompt: _Prompt = None,
    mean_response: _Response = None,
    hard_share: _Hard = 1.0,
    spread_share: _Spread = 1.0,
    explain: Annotated[bool, typer.Option("--explain", help="Say each section's formula in words.")] = False,
) -> None:
    """Validate a recipe and print its plan: tokens, memory, disk, compute, time and money. Loads no model."""
    from zppo.plan import find_shape, make_plan
    from zppo.plan.lengths import Expected
    from zppo.plan.references import check_references
    from zppo.plan.text import plan_text
    from zppo.recipes import load_recipe

    config = load_recipe(recipe, overrides or ())
    check_references(config)
    hardware = _hardware(config, machine, (tflops, bandwidth, gpu_memory, gpu_price), gpus, teacher_gpus)
    expected = Expected(mean_prompt, mean_response, hard_share, spread_share)
    teacher = find_shape(config.teacher.model) if config.teacher.type == "model" else None
    plan = make_plan(config, find_shape(config.student), teacher, hardware, expected)
    typer.echo(plan_text(config, plan, expected, explain))


def _hardware(
    config: "RunConfig",
    machine: Path | None,
    device: tuple[float, float | None, float | None, float | None],
    gpus: int | None,
    teacher_gpus: int | None,
) -> "Hardware":
    """The devices of the machine file, then what the command line says of them."""
    from zppo.machine import load_machine
    from zppo.plan.hardware import Hardware, student_devices, teacher_devices

    runtime = load_machine(RUNS, machine, None, None)
    tflops, bandwidth, memory, price = device
    return Hardware(
        flop_per_second=tflops * 1e12,
        bytes_per_second=None if bandwidth is None else bandwidth * 1e9,
        memory_bytes=None if memory is None else memory * 1e9,
        price_per_hour=price,
        learner=gpus or 1,
        student=gpus or student_devices(config, runtime),
        teacher=teacher_devices(config, runtime) if teacher_gpus is None else teacher_gpus,
        vllm=runtime.vllm,
    )
