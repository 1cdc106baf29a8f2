"""What the connection to MLflow says when it fails."""

import pytest

from zppo.errors import InputError
from zppo.tracking.client import connect, without_password


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://name:se:cret@host/path", "https://name:***@host/path"),
        (
            "postgresql+driver://u:p@db:5432/x and http://v:q@host",
            "postgresql+driver://u:***@db:5432/x and http://v:***@host",
        ),
        ("http://127.0.0.1:5000/api", "http://127.0.0.1:5000/api"),
        ("http://host:5000/a@b", "http://host:5000/a@b"),
        ("sqlite:////home/runs/mlflow.db", "sqlite:////home/runs/mlflow.db"),
    ],
)
def test_passwords_in_addresses_are_not_shown(text, shown):
    assert without_password(text) == shown


def test_a_server_that_does_not_answer_is_named_without_its_password():
    with pytest.raises(InputError) as error:
        connect("http://name:secret@127.0.0.1:1")
    assert "127.0.0.1:1" in str(error.value)
    assert "secret" not in str(error.value)
