import subprocess
import sys
from pathlib import Path

import pytest

MEASURE = """
import resource, sys
from pathlib import Path
from schemas.config.data import DataConfig, FilesSource, NearDuplicates
from zppo.stages.prepare import prepare

source = FilesSource(name="a", paths=(sys.argv[1],))
limit = DataConfig.model_fields["memory_limit_mb"].metadata[0].ge
near = NearDuplicates(enabled=sys.argv[3] == "True")
config = DataConfig(sources=(source,), memory_limit_mb=limit, near_duplicates=near)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
prepare(config, 0, len, 4096, Path(sys.argv[2]))
print(limit, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize(("near", "words"), [(False, 300), (True, 3)])
def test_memory_stays_under_the_limit_however_large_the_file(tmp_path: Path, near: bool, words: int) -> None:
    path = tmp_path / "large.jsonl"
    with path.open("w") as file:
        for index in range(60_000):
            file.write(f'{{"question": "{index} {"padding " * words}", "answer": "1"}}\n')
    out = tmp_path / "out"
    out.mkdir()
    result = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path), str(out), str(near)],
        check=True,
        capture_output=True,
        text=True,
    )
    limit, growth = map(int, result.stdout.split())
    assert growth < limit, f"{growth} MB of {limit} MB"
