"""What counts as a server that is away."""

import httpx
import pytest
from prefect.exceptions import PrefectHTTPStatusError

from flows.outages import is_away, patiently

REQUEST = httpx.Request("GET", "http://127.0.0.1:1/api/health")


def _refused(status: int) -> PrefectHTTPStatusError:
    response = httpx.Response(status, request=REQUEST)
    return PrefectHTTPStatusError("refused", request=REQUEST, response=response)


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_a_server_that_is_overloaded_is_waited_for(status: int) -> None:
    answers = iter([_refused(status), None])

    def ask() -> str:
        if (error := next(answers)) is not None:
            raise error
        return "answer"

    assert patiently(ask) == "answer"


@pytest.mark.parametrize("status", [404, 409, 422, 500])
def test_a_call_that_is_refused_is_not_repeated(status: int) -> None:
    def ask() -> None:
        raise _refused(status)

    with pytest.raises(PrefectHTTPStatusError):
        patiently(ask)


def test_a_server_that_does_not_answer_is_away() -> None:
    assert is_away(httpx.ConnectError("nobody listens", request=REQUEST))
