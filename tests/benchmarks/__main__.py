"""Run benchmarks and write their pages: `python -m tests.benchmarks [NAME [ARGUMENTS]]`."""

import importlib
import sys

import torch

from tests.benchmarks.table import write

NAMES = ("step", "update", "decode", "rounds", "scaling")
THREADS = 1


def main(arguments: list[str]) -> None:
    """Run the benchmark named first with the arguments after it, or all of them."""
    names = arguments[:1] or list(NAMES)
    if names[0] not in NAMES:
        sys.exit(f"no benchmark {names[0]!r}; there are {', '.join(NAMES)}")
    torch.set_num_threads(THREADS)
    for name in names:
        tables = importlib.import_module(f"tests.benchmarks.{name}").main(arguments[1:])
        print(write([name, *arguments[1:]], tables, THREADS).read_text(), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
