"""A server that speaks as much of vLLM's API as the product uses, over real HTTP, and misbehaves on demand.

Also a program: `python -m tests.fakes.vllm_server --model DIRECTORY --port PORT`.
"""

import argparse
import json
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from random import Random
from typing import Any

EOS, VOCABULARY = 1, 40
LOGPROB = -0.5
TRANSFER = (
    "/init_weight_transfer_engine",
    "/start_weight_update",
    "/update_weights",
    "/finish_weight_update",
)
Fault = Callable[[dict[str, Any], int], str | None]
"""What is wrong with the answer to a completion request, given its body and how many there were before."""


def drawn(prompt: list[int], seed: int, limit: int) -> list[int]:
    """The tokens that the fake draws: of prompt and seed alone, ended by the end of sequence or the limit."""
    random = Random(f"{prompt} {seed}")
    tokens = [random.randrange(5, VOCABULARY) for _ in range(random.randrange(1, 12))]
    return [*tokens, EOS][:limit]


class FakeVllm(ThreadingHTTPServer):
    """The server, and what was said to it."""

    daemon_threads = True
    request_queue_size = 2048

    def __init__(
        self, model: str, port: int = 0, fault: Fault | None = None, dev_mode: bool = True, window: int = 256
    ) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.model = model
        self.fault = fault or (lambda body, count: None)
        self.dev_mode = dev_mode
        self.window = window
        self.weights = "default"
        self.adapters: dict[str, str] = {}
        """The directory of each."""
        self.busy = 0
        """Resets of the prefix cache that fail."""
        self.calls: list[str] = []
        """Paths of all calls but looks, in order; consecutive equal ones once."""
        self.bodies: list[dict[str, Any]] = []
        """Completion requests."""
        self.loaded: list[str] = []
        """Directories that weights were loaded from."""
        self.transferred: list[tuple[str, Any]] = []
        """Calls about weights that do not come from a disk."""
        self.answered: Counter[tuple[tuple[int, ...], int]] = Counter()
        """Good answers to each prompt and seed."""
        self.tokens = 0
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def note(self, path: str) -> None:
        with self.lock:
            if not self.calls or self.calls[-1] != path:
                self.calls.append(path)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


@contextmanager
def fake_vllm(model: str = "tiny", **settings: Any) -> Iterator[FakeVllm]:
    """A running server."""
    server = FakeVllm(model, **settings)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeVllm

    def log_message(self, format: str, *args: Any) -> None:
        """Quiet."""

    def do_GET(self) -> None:
        fake = self.server
        if self.path == "/health":
            return self._answer(200)
        if self.path == "/metrics":
            return self._answer(200, f'vllm:generation_tokens_total{{engine="0"}} {fake.tokens}.0\n')
        if self.path == "/v1/models":
            served = {"id": "served", "root": fake.model, "parent": None, "max_model_len": fake.window}
            adapters = [
                {"id": name, "root": root, "parent": "served", "max_model_len": None}
                for name, root in fake.adapters.items()
            ]
            return self._json({"data": [served, *adapters]})
        if self.path == "/weight_info" and fake.dev_mode:
            return self._json({"weight_version": fake.weights})
        return self._answer(404, "Not Found")

    def do_POST(self) -> None:
        fake, path = self.server, self.path.partition("?")[0]
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = json.loads(content) if content else None
        fake.note(path)
        if path == "/v1/completions":
            if body["model"] not in ("served", *fake.adapters):
                return self._answer(404, f"The model {body['model']} does not exist.")
            return self._complete(body)
        if path == "/v1/load_lora_adapter":
            if body["lora_name"] in fake.adapters:
                return self._answer(400, "It has already been loaded.")
            fake.adapters[body["lora_name"]] = body["lora_path"]
            return self._answer(200)
        if path == "/v1/unload_lora_adapter":
            del fake.adapters[body["lora_name"]]
            return self._answer(200)
        if not fake.dev_mode:
            return self._answer(404, "Not Found")
        if path == "/collective_rpc":
            assert body["method"] == "reload_weights"
            fake.loaded.append(body["kwargs"]["weights_path"])
            return self._json({"results": [None]})
        if path == "/reset_prefix_cache":
            fake.busy -= 1
            return self._json({"success": fake.busy < 0})
        if path == "/update_weight_version":
            fake.weights = body["new_version"]
            return self._json({"success": True})
        if path in TRANSFER:
            fake.transferred.append((path, body))
        return self._json({})

    def _complete(self, body: dict[str, Any]) -> None:
        fake = self.server
        with fake.lock:
            count = len(fake.bodies)
            fake.bodies.append(body)
        tokens = drawn(body["prompt"], body["seed"], body["max_tokens"])
        logprobs = [LOGPROB] * len(tokens)
        choice = {
            "finish_reason": "stop" if tokens[-1] == EOS else "length",
            "token_ids": tokens,
            "logprobs": {"token_logprobs": logprobs},
        }
        answer: dict[str, Any] = {"choices": [choice]}
        match fake.fault(body, count):
            case "500":
                return self._answer(500, '{"error": "EngineDeadError"}')
            case "400":
                return self._answer(400, '{"error": "BadRequestError"}')
            case "hang":
                time.sleep(3600)
            case "slow":
                time.sleep(0.3)
            case "cut":
                self.send_response(200)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b'{"choices": [')
                self.close_connection = True
                return None
            case "malformed":
                return self._answer(200, '{"choices": [{"finish_reason": ')
            case "two":
                answer["choices"] = [choice, choice]
            case "none":
                answer["choices"] = []
            case "no ids":
                choice["token_ids"] = None
            case "nan":
                logprobs[0] = math.nan
            case "no token's id":
                tokens[0] = VOCABULARY
            case "a logprob less":
                logprobs.pop()
        with fake.lock:
            fake.answered[tuple(body["prompt"]), body["seed"]] += 1
            fake.tokens += len(tokens)
        return self._json(answer)

    def _json(self, content: Any) -> None:
        self._answer(200, json.dumps(content))

    def _answer(self, status: int, text: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())


def main() -> None:
    """Serve until killed; other arguments are a real server's and mean nothing here."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--window", type=int, default=256)
    arguments, _ = parser.parse_known_args()
    print("fake vLLM server on port", arguments.port, flush=True)
    FakeVllm(arguments.model, arguments.port, window=arguments.window).serve_forever()


if __name__ == "__main__":
    main()
