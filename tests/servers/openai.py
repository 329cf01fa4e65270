"""A small OpenAI-compatible server on the loopback: chat completions and embeddings."""

from __future__ import annotations

import json
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# That of the model that Mem0 and OpenAI use by default.
DIMENSION = 1536
# A heading of Mem0's extraction prompt.
_EXTRACTION = "## New Messages"


@dataclass
class OpenAIServer:
    """What the server says, and what it was asked.

    Attributes:
        answer: The answer to every conversation.
        memories: The answer to every extraction prompt of Mem0.
        url: The base URL for an OpenAI client.
        chats: The bodies of the conversations that it was sent.
        extractions: The bodies of the extraction prompts that it was sent.
    """

    answer: str
    memories: list[str]
    url: str = ""
    chats: list[dict[str, Any]] = field(default_factory=list)
    extractions: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def running_openai(*, answer: str, memories: list[str]) -> Iterator[OpenAIServer]:
    """Serve until the block ends.

    Yields:
        The running server.
    """
    state = OpenAIServer(answer, memories)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/v1/embeddings":
                self._send("application/json", json.dumps(_embeddings(body)))
            elif self.path == "/v1/chat/completions":
                text = self._answer(body)
                if body.get("stream"):
                    self._send("text/event-stream", _events(text))
                else:
                    self._send("application/json", json.dumps(_completion(text)))
            else:
                self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            pass

        def _answer(self, body: dict[str, Any]) -> str:
            if any(_EXTRACTION in str(message["content"]) for message in body["messages"]):
                state.extractions.append(body)
                return json.dumps({"memory": [{"text": memory} for memory in state.memories]})
            state.chats.append(body)
            return state.answer

        def _send(self, content_type: str, text: str) -> None:
            data = text.encode()
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _completion(text: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": text}
    return {
        "id": "completion",
        "object": "chat.completion",
        "created": 0,
        "model": "gpt-test",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2},
    }


def _events(text: str) -> str:
    """One event a word, as a model streams."""
    deltas: list[dict[str, Any]] = [
        {"delta": {"role": "assistant", "content": f"{word} "}} for word in text.split()
    ]
    deltas.append({"delta": {}, "finish_reason": "stop"})
    chunks = [
        {
            "id": "completion",
            "object": "chat.completion.chunk",
            "created": 0,
            "model": "gpt-test",
            "choices": [{"index": 0, "finish_reason": None, **delta}],
        }
        for delta in deltas
    ]
    return "".join(f"data: {event}\n\n" for event in [*map(json.dumps, chunks), "[DONE]"])


def _embeddings(body: dict[str, Any]) -> dict[str, Any]:
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    return {
        "object": "list",
        "model": "embedding-test",
        "data": [
            {"object": "embedding", "index": index, "embedding": _bag_of_words(text)}
            for index, text in enumerate(texts)
        ],
        "usage": {"prompt_tokens": 1, "total_tokens": 1},
    }


def _bag_of_words(text: str) -> list[float]:
    vector = [0.0] * DIMENSION
    for word in text.lower().split():
        vector[zlib.crc32(word.strip(".,?!").encode()) % DIMENSION] += 1.0
    return vector
