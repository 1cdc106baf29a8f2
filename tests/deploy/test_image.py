"""What is sent to the builder of the images, by the rules of Docker's own client library."""

import re
import tomllib

from docker.utils.build import exclude_paths

from tests.pipelines import ROOT

DOCKERFILE = (ROOT / "deployments" / "image" / "Dockerfile").read_text()
IGNORED = [each for each in (ROOT / ".dockerignore").read_text().splitlines() if each and each[0] != "#"]
SENT = exclude_paths(str(ROOT), IGNORED)


def test_everything_that_the_dockerfile_copies_is_sent() -> None:
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    sources = {each.rstrip("/") for line in copied for each in line.split()}
    assert "constraints.txt" in sources
    assert sources <= SENT


def test_everything_that_goes_into_the_package_is_sent() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
    assert {*wheel["packages"], *wheel["force-include"]} <= SENT
    assert {f"deployments/recipes/{each.name}" for each in (ROOT / "deployments/recipes").iterdir()} <= SENT


def test_neither_runs_nor_environments_nor_secrets_are_sent() -> None:
    folders = {each.partition("/")[0] for each in SENT}
    assert folders <= {"", "schemas", "zppo", "flows", "deployments", "constraints.txt", "pyproject.toml"} | {
        "README.md",
        "LICENSE",
        ".dockerignore",
    }
    assert not {"deployments/.env", "deployments/keys.env"} & SENT
