"""The live page: on this machine only, for this machine's names only, and never stale."""

import json
from collections.abc import Iterator
from http.client import HTTPConnection
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.stories import Story
from zppo.errors import InputError
from zppo.report.history import RunHistory
from zppo.report.serve import HOST, LiveReport, report_server


@pytest.fixture
def story(tmp_path: Path) -> Story:
    return Story(tmp_path).rounds(2)


@pytest.fixture
def server(story: Story) -> Iterator[ThreadingHTTPServer]:
    with report_server(LiveReport(RunHistory(story.home, "story")), 0) as started:
        thread = Thread(target=started.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield started
        started.shutdown()
        thread.join()


def get(
    server: ThreadingHTTPServer, path: str, host: str | None = None, method: str = "GET"
) -> tuple[int, bytes]:
    connection = HTTPConnection(HOST, server.server_port)
    connection.request(method, path, headers={"Host": host} if host else {})
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_it_listens_on_loopback_alone(server: ThreadingHTTPServer) -> None:
    assert server.server_address[0] == "127.0.0.1"


def test_foreign_names_are_refused_and_this_machine_s_are_not(server: ThreadingHTTPServer) -> None:
    port = server.server_port
    assert get(server, "/version", "evil.example")[0] == 403
    assert get(server, "/version", "127.0.0.1")[0] == 403
    assert get(server, "/version", f"localhost:{port}")[0] == 200
    assert get(server, "/version")[0] == 200


def test_the_version_changes_with_a_round_and_the_page_with_it(
    server: ThreadingHTTPServer, story: Story
) -> None:
    before = json.loads(get(server, "/version")[1])
    assert b"2 of 4 rounds" in get(server, "/")[1]
    story.rounds(1)
    assert json.loads(get(server, "/version")[1]) != before
    page = get(server, "/")[1]
    assert b"3 of 4 rounds" in page
    assert b"connect-src &#39;self&#39;" in page


def test_any_question_that_was_drawn_is_told_in_full_and_no_other(server: ThreadingHTTPServer) -> None:
    status, body = get(server, "/question?id=q0")
    assert status == 200
    assert json.loads(body)["visits"][0]["round"] == 1
    assert get(server, "/question?id=../../etc/passwd")[0] == 404
    assert get(server, "/question")[0] == 404
    assert get(server, "/manifest.json")[0] == 404
    assert get(server, "/", method="POST")[0] == 501


def test_a_port_that_is_taken_is_named(server: ThreadingHTTPServer, story: Story) -> None:
    with pytest.raises(InputError, match=r"choose another --port"):
        report_server(LiveReport(RunHistory(story.home, "story")), server.server_port)
