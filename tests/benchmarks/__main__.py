"""Run benchmarks and write their pages: `python -m tests.benchmarks [PAGE [ARGUMENTS]]`."""

import importlib
import sys

import torch

from tests.benchmarks.table import write

PAGES = {
    "step": ["step", "--cases", "pocket-own", "pocket"],
    "step-smollm2": ["step", "--cases", "smollm2-8", "smollm2-4"],
    "update": ["update"],
    "decode": ["decode", "--models", "pocket"],
    "decode-smollm2": ["decode", "--models", "SmolLM2-135M's shape"],
    "rounds": ["rounds"],
    "orchestration": ["orchestration"],
    "scaling": ["scaling"],
    "processes": ["processes"],
    "capacity": ["capacity"],
}
"""Module and arguments of each; later arguments win."""
THREADS = 1


def main(arguments: list[str]) -> None:
    """Make the page named first with the arguments after it, or all of them."""
    names = arguments[:1] or list(PAGES)
    if names[0] not in PAGES:
        sys.exit(f"no benchmark {names[0]!r}; there are {', '.join(PAGES)}")
    torch.set_num_threads(THREADS)
    for name in names:
        module, *defaults = PAGES[name]
        tables = importlib.import_module(f"tests.benchmarks.{module}").main([*defaults, *arguments[1:]])
        print(write([name, *arguments[1:]], tables, THREADS).read_text(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
