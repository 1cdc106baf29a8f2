"""The chat endpoints of a run: the recipe's model at the machine's address, with the key that it names."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
from pydantic import SecretStr

from schemas.config.run import Runtime
from schemas.config.teacher import EndpointTeacher
from schemas.spend import EndpointSpend, Spend
from zppo.endpoints.client import ChatClient, Endpoint
from zppo.endpoints.spending import Meter, SpendLog
from zppo.errors import InputError


class TeacherEndpoint:
    """The teacher's client and what it spends."""

    def __init__(self, config: EndpointTeacher, client: ChatClient, meter: Meter):
        self.config = config
        self.client = client
        self._meter = meter

    def take(self) -> EndpointSpend:
        """What was spent since this was asked last."""
        return self.priced(self._meter.take())

    @property
    def total(self) -> EndpointSpend:
        """What this run has spent, earlier sessions included."""
        return self.priced(self.client.spent)

    def priced(self, used: Spend) -> EndpointSpend:
        """With its cost, where the recipe has prices."""
        return EndpointSpend.of("teacher", used, self.config.prices)

    def side_by_side(self, responses: int) -> int:
        """Questions to ask beside each other, each for so many responses.

        Twice what the requests in flight come from: some questions wait for their last response only.
        """
        requests = 1 if self.config.many_choices else responses
        return max(2, -(-2 * self.client.endpoint.access.concurrency // requests))

    @contextmanager
    def logged(self, path: Path) -> Iterator[SpendLog]:
        """Keep the spend in a file of its own as well."""
        log = SpendLog(path)
        with self._meter.also(log):
            yield log


@contextmanager
def open_teacher(config: EndpointTeacher, runtime: Runtime, log: Path) -> Iterator[TeacherEndpoint]:
    """The endpoint of a recipe's teacher, ready to be asked.

    Args:
        config: The recipe's teacher.
        runtime: Holds the address.
        log: File with what the run has spent.

    Raises:
        InputError: The machine names no endpoint, or its key cannot be found.
    """
    access = runtime.endpoints.teacher
    if access is None:
        raise InputError(
            f"the recipe's teacher is the model {config.model!r} behind an endpoint, but this machine has "
            "none: set endpoints.teacher.url, such as http://localhost:8000/v1, in the machine's file"
        )
    key = find_key(access.api_key, "teacher")
    endpoint = Endpoint("teacher", config.model, access, key, config.prices)
    spent, meter = SpendLog(log), Meter(SpendLog(log))
    with ChatClient(endpoint, spent.total(), meter.add) as client:
        yield TeacherEndpoint(config, client, meter)


def find_key(reference: str | None, role: str) -> SecretStr | None:
    """The key that a reference names: `env:NAME` or `prefect-secret:BLOCK`; None without a reference.

    Raises:
        InputError: There is no such variable or block, or it holds no key; the message does not show it.
    """
    if reference is None:
        return None
    kind, _, name = reference.partition(":")
    key = (os.environ.get(name) if kind == "env" else _block(name, role)) or ""
    if not key.strip():
        raise InputError(f"endpoints.{role}.api_key names {reference}, but there is no key in it")
    if not key.strip().isascii() or len(key.split()) > 1:
        raise InputError(f"endpoints.{role}.api_key: {reference} holds no key: it has blanks or odd signs")
    return SecretStr(key.strip())


def _block(name: str, role: str) -> str:
    from prefect.blocks.system import Secret

    named = f"endpoints.{role}.api_key names the Prefect block {name!r}"
    try:
        block = Secret.load(name)
    except ValueError:
        raise InputError(
            f"{named}, but the Prefect server has no such block of type Secret: make it on the server's "
            "pages under Blocks (`zppo ui` shows those of a run's own server), or name another key"
        ) from None
    except httpx.HTTPError as error:
        raise InputError(
            f"{named}, but the Prefect server does not give it: {str(error) or type(error).__name__}"
        ) from None
    assert isinstance(block, Secret), "outside of an event loop"
    return str(block.get())
