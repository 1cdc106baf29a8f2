"""Serves the report of a run on this machine while the run goes on, with the full text of every question."""

import json
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock
from urllib.parse import parse_qs, urlsplit

from schemas.config.machine import HourlyPrice
from zppo.errors import InputError
from zppo.report.contents import run_page
from zppo.report.details import UnknownQuestion, question_details
from zppo.report.history import RunHistory

HOST = "127.0.0.1"
"""Loopback only: the page shows everything that the run holds."""
Answer = tuple[HTTPStatus, str, bytes]
"""Status, content type and body."""


class LiveReport:
    """The page and the lives of questions, made anew when the run has committed something."""

    def __init__(self, history: RunHistory, price: HourlyPrice | None = None) -> None:
        self._history = history
        self._price = price
        self._lock = Lock()
        self._page = ("", b"")

    def answer(self, target: str) -> Answer:
        """What a path is answered with; requests take turns."""
        address = urlsplit(target)
        with self._lock:
            match address.path:
                case "/":
                    return HTTPStatus.OK, "text/html", self._current_page()
                case "/version":
                    return _json({"version": self._version()})
                case "/question":
                    return self._question(parse_qs(address.query).get("id", [""])[0])
                case _:
                    return HTTPStatus.NOT_FOUND, "text/plain", b"not found"

    def _version(self) -> str:
        """Changes with everything that the page shows."""
        its = self._history
        its.refresh()
        made = [its.manifest(path) for path in (its.paths.evaluation, its.paths.promotion)]
        return f"{len(its.reports)}-{sum(each is not None for each in made)}-{int(its.running)}"

    def _current_page(self) -> bytes:
        version = self._version()
        if self._page[0] != version:
            self._page = version, run_page(self._history, self._price, version).encode()
        return self._page[1]

    def _question(self, id: str) -> Answer:
        self._history.refresh()
        try:
            detail = question_details(self._history, [id])[id]
        except UnknownQuestion:
            return HTTPStatus.NOT_FOUND, "text/plain", b"no such question"
        return HTTPStatus.OK, "application/json", detail.model_dump_json().encode()


def serve_report(
    history: RunHistory, price: HourlyPrice | None, port: int, say: Callable[[str], None]
) -> None:
    """Serve until Ctrl-C.

    Args:
        history: The run.
        price: Of the machine.
        port: 0 takes a free one.
        say: Told of the address.

    Raises:
        InputError: The port is taken.
    """
    with report_server(LiveReport(history, price), port) as server:
        say(f"http://{HOST}:{server.server_port}/ shows {history.name}; Ctrl-C ends it")
        server.serve_forever()


def report_server(report: LiveReport, port: int) -> ThreadingHTTPServer:
    """A server that is bound, but does not answer yet."""
    try:
        return ThreadingHTTPServer((HOST, port), _handler(report))
    except OSError as error:
        raise InputError(f"cannot serve on {HOST}:{port}: {error}; choose another --port, or 0") from error


def _handler(report: LiveReport) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers GET from this machine, to a name of this machine."""

        server_version, sys_version = "zppo", ""

        def do_GET(self) -> None:
            """A page of a foreign name that resolves to this machine must not read the run."""
            assert isinstance(self.server, ThreadingHTTPServer)
            if self.headers.get("Host") not in allowed_hosts(self.server.server_port):
                self._send(HTTPStatus.FORBIDDEN, "text/plain", b"ask for 127.0.0.1 or localhost")
                return
            self._send(*report.answer(self.path))

        def _send(self, status: HTTPStatus, kind: str, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", f"{kind}; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            for name, value in _HEADERS.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Requests are not news."""

    return Handler


def allowed_hosts(port: int) -> frozenset[str]:
    """Names under which a browser on this machine asks for the page."""
    return frozenset(f"{name}:{port}" for name in (HOST, "localhost"))


_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def _json(content: object) -> Answer:
    return HTTPStatus.OK, "application/json", json.dumps(content).encode()
