"""A chat endpoint on this machine for tests: it answers, misbehaves on demand, and logs every request.

It speaks HTTP/1.1 over asyncio's own streams, so that it can also do what no web framework lets it: cut a
body short, drop a connection, answer with something that is no HTTP.
"""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

Fault = Literal[
    "429",
    "500",
    "503",
    "cut",
    "malformed",
    "schema",
    "choices",
    "garbage",
    "drop",
    "slow",
    "401",
    "400",
    "404",
]


@dataclass(frozen=True)
class Asked:
    """One attempt as the server saw it."""

    id: str
    attempt: int
    """Of this request, from 1."""
    body: dict[str, Any]
    headers: dict[str, str]
    at: float

    @property
    def prompt(self) -> str:
        content: str = self.body["messages"][-1]["content"]
        return content


@dataclass
class ChatServer:
    """What it does, and what it saw."""

    reply: Callable[[Asked], str] = lambda asked: f"Echo: {asked.prompt}"
    """The text of a response; runs in a thread, one at a time."""
    fault: Callable[[Asked], Fault | None] = lambda asked: None
    retry_after: str = ""
    seconds: float = 0.0
    """Of every answer."""
    finish: str = "stop"
    message: str = "no"
    """Of errors."""
    asked: list[Asked] = field(default_factory=list)
    attempts: Counter[str] = field(default_factory=Counter)
    """By request id."""
    answered: Counter[str] = field(default_factory=Counter)
    """Whole good answers sent, by request id."""
    in_flight: int = 0
    most_in_flight: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, many requests."""
        try:
            while asked := await self._read(reader):
                self.in_flight += 1
                self.most_in_flight = max(self.most_in_flight, self.in_flight)
                try:
                    stays_open = await self._respond(asked, writer)
                finally:
                    self.in_flight -= 1
                if not stays_open:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> Asked | None:
        if not (head := await reader.readuntil(b"\r\n\r\n")):
            return None
        first, *lines = head.decode().split("\r\n")
        assert first.split()[1].endswith("/chat/completions"), first
        headers = dict(line.lower().split(": ", 1) for line in lines if ": " in line)
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        name = headers["x-request-id"]
        self.attempts[name] += 1
        asked = Asked(name, self.attempts[name], body, headers, time.time())
        self.asked.append(asked)
        return asked

    async def _respond(self, asked: Asked, writer: asyncio.StreamWriter) -> bool:
        if self.seconds:
            await asyncio.sleep(self.seconds)
        fault = self.fault(asked)
        match fault:
            case "drop":
                return False
            case "slow":
                await asyncio.sleep(60)
                return False
            case "garbage":
                writer.write(b"\x00\xffnothing that HTTP knows\r\n\r\n")
                return False
            case "malformed":
                await _send(writer, 200, b'{"choices": [{"message": {"content": "half')
            case "schema":
                await _send(writer, 200, b'{"object": "something else", "choices": []}')
            case "400" | "401" | "404" | "429" | "500" | "503":
                error = json.dumps({"error": {"message": self.message, "type": "test"}}).encode()
                await _send(writer, int(fault), error, self.retry_after)
            case _:
                return await self._good(asked, writer, fault)
        return True

    async def _good(self, asked: Asked, writer: asyncio.StreamWriter, fault: Fault | None) -> bool:
        text = await asyncio.to_thread(self.reply, asked)
        wanted = asked.body.get("n", 1)
        usage = {"prompt_tokens": len(asked.prompt.split()), "completion_tokens": wanted * len(text.split())}
        choice = {"message": {"role": "assistant", "content": text}, "finish_reason": self.finish}
        choices = [{"index": index, **choice} for index in range(wanted - (fault == "choices"))]
        content = json.dumps({"object": "chat.completion", "choices": choices, "usage": usage}).encode()
        if fault == "cut":
            writer.write(_head(200, len(content)) + content[: len(content) // 2])
            await writer.drain()
            return False
        await _send(writer, 200, content)
        if fault is None:
            self.answered[asked.id] += 1
            self.prompt_tokens += usage["prompt_tokens"]
            self.completion_tokens += usage["completion_tokens"]
        return True


@contextmanager
def chat_server(server: ChatServer | None = None) -> Iterator[ChatServer]:
    """Run a server in a thread; `url` is filled in."""
    server = server or ChatServer()
    loop = asyncio.new_event_loop()
    listening = loop.run_until_complete(asyncio.start_server(server.serve, "127.0.0.1", 0, backlog=4096))
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        asyncio.run_coroutine_threadsafe(_end(listening), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


async def _end(listening: asyncio.Server) -> None:
    listening.close()
    mine = asyncio.current_task()
    rest = [task for task in asyncio.all_tasks() if task is not mine]
    for task in rest:
        task.cancel()
    await asyncio.gather(*rest, return_exceptions=True)


def _head(status: int, length: int, retry_after: str = "") -> bytes:
    wait = f"Retry-After: {retry_after}\r\n" if retry_after else ""
    return f"HTTP/1.1 {status} X\r\n{wait}Content-Length: {length}\r\n\r\n".encode()


async def _send(writer: asyncio.StreamWriter, status: int, content: bytes, retry_after: str = "") -> None:
    writer.write(_head(status, len(content), retry_after) + content)
    await writer.drain()


def model_reply(model: str) -> Callable[[Asked], str]:
    """Replies of a pocket model through the product's own engine, by the request's seed."""
    from schemas.config.models import DecodingConfig, ModelConfig, TransformersEngineConfig
    from zppo.engines.transformers import TransformersEngine
    from zppo.models.loading import load_model, load_tokenizer, pick_device, resolve
    from zppo.ports import Generation, GenerationRequest

    config = ModelConfig(model=model)
    reference = resolve(config)
    tokenizer = load_tokenizer(config, reference)
    engine = TransformersEngine(
        load_model(config, reference, pick_device("cpu")), tokenizer, TransformersEngineConfig()
    )
    plain = DecodingConfig(top_p=1.0, top_k=0, presence_penalty=0.0)
    one_at_a_time = threading.Lock()

    def reply(asked: Asked) -> str:
        request = GenerationRequest(asked.id, tokenizer.encode(asked.prompt), (asked.body["seed"],))
        limits = {"temperature": asked.body["temperature"], "max_response_tokens": asked.body["max_tokens"]}
        with one_at_a_time:
            ((drawn,),) = engine.generate([request], plain.model_copy(update=limits))
        return drawn.text if isinstance(drawn, Generation) else ""

    return reply
