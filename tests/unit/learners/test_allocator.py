"""Memory that is freed is the next update's."""

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import psutil, torch
from zppo.learners.allocator import keep_freed_memory

def held():
    return psutil.Process().memory_info().rss / 2**20

if {keep}:
    assert keep_freed_memory()
torch.ones(16, 2**20)
before = held()
tensor = torch.ones(64, 2**20)
del tensor
print(held() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")
@pytest.mark.parametrize("keep", [False, True])
def test_a_freed_tensor_s_memory_stays_with_the_process_only_if_told_so(keep: bool) -> None:
    program = [sys.executable, "-c", SCRIPT.format(keep=keep)]
    megabytes = float(subprocess.run(program, check=True, capture_output=True, text=True).stdout)
    assert (megabytes > 150) is keep
