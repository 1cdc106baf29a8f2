"""A process that precomputes a pool over an endpoint, for tests that kill it.

python -m tests.faults.asking HOME URL [NAME]
"""

import sys
from pathlib import Path

from schemas.config.endpoints import EndpointAccess, EndpointsConfig
from schemas.config.run import RunConfig, Runtime
from tests.pipelines import RECIPE
from zppo.wiring.context import open_run
from zppo.wiring.precompute import run_precompute

CONCURRENCY = 4
NAME = "asking"


def main(home: Path, url: str, name: str = NAME) -> str:
    """The path of the pool that a run of this name asks for."""
    teacher = {"type": "endpoint", "model": "m", "templates": "pocket", "max_response_tokens": 16}
    access = EndpointAccess(url=url, concurrency=CONCURRENCY, retries=1)
    runtime = Runtime(home=home, endpoints=EndpointsConfig(teacher=access))
    with open_run(RunConfig.model_validate(RECIPE | {"teacher": teacher}), name, runtime) as run:
        return run_precompute(run)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
