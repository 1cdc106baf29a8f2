"""A signal to the whole process group, as a terminal or a service manager sends it, costs no grade."""

import os
import signal
import subprocess
import sys

import pytest

from tests.pipelines import ROOT

PROGRAM = """
import os, signal, sys, threading
from zppo.graders.pool import EquivalencePool, Pair

if __name__ == "__main__":
    number = int(sys.argv[1])
    signal.signal(number, lambda *_: None)
    pool = EquivalencePool(timeout_seconds=2.0)
    pool.compare([Pair("7", "7")])
    threading.Timer(0.5, os.killpg, (0, number)).start()
    print(*pool.compare([Pair("7", "9^{9^{9^{9}}}"), Pair("1/2", "0.5")]).values(), sep="; ")
    pool.close()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_group_does_not_end_a_comparison(number: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(int(number))],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
        start_new_session=True,
    )  # fmt: skip
    assert done.stdout == "no verdict within 2 s; True\n", done.stderr
