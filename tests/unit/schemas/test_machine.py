"""Where vLLM's servers are, as a user writes it."""

import pytest
from pydantic import ValidationError

from schemas.config.machine import GivenServers, ManagedServers, VllmRuntime


def test_servers_with_addresses_are_given_and_others_managed():
    runtime = VllmRuntime.model_validate(
        {"student": {"replicas": 2}, "teacher": {"urls": ["http://teacher:8000/v1/"]}}
    )
    assert isinstance(runtime.student, ManagedServers)
    assert isinstance(runtime.teacher, GivenServers)
    assert runtime.teacher.urls == ("http://teacher:8000",)


@pytest.mark.parametrize(
    "servers",
    [
        {"urls": []},
        {"urls": ["teacher:8000"]},
        {"urls": ["http://a", "http://a/"]},
        {"urls": ["http://a"], "replicas": 2},
        {"replicas": 2, "devices": [0, 1, 2]},
        {"colocated": True, "devices": [0]},
        {"devices": [-1]},
    ],
)
def test_servers_that_cannot_be_are_refused(servers):
    with pytest.raises(ValidationError):
        VllmRuntime.model_validate({"student": servers})
