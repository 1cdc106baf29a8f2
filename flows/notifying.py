"""Word to people: a line to any address that Apprise knows, where the worker's environment names one."""

import os

from prefect import flow

from zppo.errors import ZppoError

ADDRESS = "ZPPO_NOTIFY_URL"
"""Environment of a worker: an Apprise URL, such as `mailto://…` or `slack://…`. It may hold a password, hence
its place in the environment rather than in Prefect's database."""


@flow(name="zppo-notify")
def notify(title: str, text: str) -> None:
    """Send a line, or say on the flow run's log that nobody is to be told.

    Raises:
        ZppoError: The address takes no message.
    """
    address = os.environ.get(ADDRESS)
    if not address:
        print(f"{title}: {text}\nNobody is told: set {ADDRESS} in the worker's environment to an Apprise URL")
        return
    from apprise import Apprise

    told = Apprise()
    if not told.add(address) or not told.notify(body=text, title=title):
        raise ZppoError(
            f"the address in {ADDRESS} took no message; expected a URL as Apprise documents them, of "
            "somebody who answers"
        )
