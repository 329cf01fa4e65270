"""Where a promise does not hold yet: each line is a defect, and goes when that is mended.

A test of which a line says so is expected to fail, and fails the suite when it does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import pytest

from tests.paths import Way

Failures = type[BaseException] | tuple[type[BaseException], ...]


class Broken(NamedTuple):
    """A test that fails on some ways."""

    test: str
    reason: str
    where: Callable[[Way, Mapping[str, object]], bool] = lambda way, parameters: True
    raises: Failures = AssertionError


def stumbles(way: Way, _: object) -> bool:
    return way.stumbles is not None


def is_platform(way: Way, _: object) -> bool:
    return way.store == "platform"


def is_mem0(way: Way, _: object) -> bool:
    return way.store != "platform"


SAID_AGAIN = "what is said again in the same words is dropped, with its time and metadata"
ONE_TIME = "the statements of a turn have one time there, and a list orders them by their ids"
FENCE = "look-alikes of the fence pass: '<//', invisible characters, many spaces"

KNOWN_BROKEN: tuple[Broken, ...] = (
    # Stored once, in order.
    Broken("test_the_statements_of_a_turn_keep_their_order", ONE_TIME, is_platform),
    # Forgotten.
    Broken(
        "test_the_history_of_a_scope_of_two_ids_is_forgotten",
        "deleting memories one by one leaves their history on the server",
        is_platform,
        pytest.fail.Exception,
    ),
    # A recall in its time.
    Broken(
        "test_a_graph_behind_a_server_costs_its_facts_alone",
        "the server searches with on_error='raise': a graph that is down fails every search",
    ),
    # The newest word.
    Broken("test_what_becomes_true_again_comes_first", SAID_AGAIN),
    Broken("test_what_is_said_again_is_found_by_its_own_time", SAID_AGAIN),
    Broken("test_what_is_said_again_is_found_by_its_own_metadata", SAID_AGAIN),
    Broken("test_the_graph_believes_what_becomes_true_again", SAID_AGAIN),
    Broken(
        "test_a_corrected_memory_does_not_become_the_present",
        "a fact is said when its memory was changed, not when it was said",
    ),
    Broken(
        "test_a_graph_that_is_made_again_says_the_same",
        "made again, a fact counts from the change of its memory; having followed, from the first",
    ),
    # Notes only.
    Broken(
        "test_a_memory_begins_no_line_of_its_own",
        "documents of the retriever and matches of a crew have the raw text",
        lambda way, parameters: (
            getattr(parameters["surface"], "__name__", "") in ("as_documents", "to_a_crew")
        ),
        AssertionError,
    ),
    Broken("test_a_memory_cannot_end_the_notes", FENCE),
    Broken(
        "test_the_chat_command_shows_no_control_characters",
        "the chat command prints escape sequences of memories as they are",
    ),
)
