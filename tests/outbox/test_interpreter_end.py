"""A program that just ends: what it accepted is delivered, or stays queued."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from mem0_integrations import SentenceExtractor, connect

# As Python 3.12.0 to 3.12.2 do at their end, whatever Python this is.
NO_THREAD_STARTS = """
import threading
start = threading.Thread.start
def refused(self):
    if not threading.main_thread().is_alive():
        raise RuntimeError("can't create new thread at interpreter shutdown")
    start(self)
threading.Thread.start = refused
"""
# As a provider does that asks several models at once.
WITH_A_POOL = """
from concurrent.futures import ThreadPoolExecutor
class Asking(SentenceExtractor):
    def extract(self, messages):
        ending.wait(30)
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(super().extract, messages).result()
"""
PLAIN = """
class Asking(SentenceExtractor):
    def extract(self, messages):
        ending.wait(30)
        return super().extract(messages)
"""
PROGRAM = """
import threading
from mem0_integrations import SentenceExtractor, connect
class Ending:
    # Set by the interpreter, when it waits for no thread any more.
    def wait(self, seconds):
        threading.main_thread().join(seconds)
ending = Ending()
{extractor}
memory = connect("embedded", data_dir={folder!r}, extractor=Asking(), graph={graph},
                 scope={{"user_id": "u"}})
{threads}
for text in ("I live in Oslo.", "I like tea.", "I work for Acme."):
    memory.remember(text, background=True)
"""
SAID = ["I live in Oslo.", "I like tea.", "I work for Acme."]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("threads", ["", NO_THREAD_STARTS], ids=["threads", "no thread"])
@pytest.mark.parametrize("extractor", [PLAIN, WITH_A_POOL], ids=["alone", "pool"])
def test_what_a_program_accepted_survives_its_end(
    tmp_path: Path, extractor: str, threads: str, graph: bool
) -> None:
    """It is nobody's failure that no thread starts any more."""
    program = PROGRAM.format(
        extractor=extractor, threads=threads, folder=str(tmp_path), graph=graph
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert "Traceback" not in ended.stderr
    with connect(
        "embedded",
        data_dir=tmp_path,
        extractor=SentenceExtractor(),
        graph=graph,
        scope={"user_id": "u"},
    ) as memory:
        assert memory.dead_letters() == []
        assert memory.flush(60)
        assert memory.dead_letters() == []
        assert [found.text for found in reversed(memory.list())] == SAID
        if graph:
            assert {fact.target for fact in memory.graph.relations(scope={"user_id": "u"})} >= {
                "Oslo",
                "Acme",
            }
