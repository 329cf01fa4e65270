from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mem0_integrations.recall.words import count_words, words_to_find

SYNTAX = "\"'()*^:+-,.{}[]\0\\/<>=;%_$@!?|&~`#"


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("Where's the kettle that I ordered?", ["kettle", "ordered"]),
        ("What did you tell me about Priya's kettle?", ["Priya", "kettle"]),
        ("order 48213, or order 48214?", ["order", "48213", "48214"]),
        ("I wouldn't fly, wouldn’t you?", ["fly"]),
        ("snake_case and kebab-case", ["snake", "case", "kebab"]),
        ("a\0b\ud83dc", ["b", "c"]),
        ("", []),
        (" \n\t", []),
        ("?!… 🫖 ❤️", []),
        ("Who are you, and what do you do?", []),
    ],
)
def test_the_words_that_say_what_is_asked(question: str, words: list[str]) -> None:
    """What every question has finds everything; a sign of punctuation would be syntax."""
    assert words_to_find(question) == words


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ("Straße, STRASSE!", ["Straße", "STRASSE"]),
        ("İstanbul'da", ["İstanbul", "da"]),
        (unicodedata.normalize("NFD", "résumé"), [unicodedata.normalize("NFD", "résumé")]),
        ("मुझे हिन्दी पसंद है", ["मुझे", "हिन्दी", "पसंद", "है"]),
        ("我喜欢茶。", ["我喜欢茶"]),
        ("5️⃣ x²", ["5️⃣", "x²"]),
    ],
)
def test_a_word_of_any_script_stays_whole_and_as_it_is(question: str, words: list[str]) -> None:
    """The index must read it as it read the memory: half of a word finds others, or nothing."""
    assert words_to_find(question) == words


def test_a_word_counts_once_whatever_its_case() -> None:
    """To say it twice is not to ask for something else."""
    words = words_to_find("tea, Tea and TEA with milk, tea!")
    assert [word.lower() for word in words] == ["tea", "milk"]


def test_of_very_many_words_the_last_are_looked_for() -> None:
    """A pasted page ends with what is asked about it; each word costs time."""
    words = [f"word{number}" for number in range(300)]
    assert words_to_find(" ".join(words)) == words[-50:]


@given(st.text() | st.text(SYNTAX + "aéÉİß漢 ") | st.text(st.characters()))
def test_words_are_few_distinct_and_without_syntax(question: str) -> None:
    """They are put between quotation marks in a query of the index."""
    words = words_to_find(question)
    assert len(words) <= 50
    assert len({word.lower() for word in words}) == len(words)
    for word in words:
        assert word in question
        assert any(map(str.isalnum, word))
        assert not set(word) & set(SYNTAX)
        assert not any(map(str.isspace, word))


@given(st.lists(st.sampled_from(["kettle", "the", "Did", "Oslo", "you", "48213"]), max_size=8))
def test_only_common_words_are_left_out(words: list[str]) -> None:
    """A rare one is what finds the memory."""
    rare = {"kettle", "Oslo", "48213"}
    assert set(words_to_find(" ".join(words))) == set(words) & rare


@pytest.mark.parametrize(
    ("text", "count"),
    [("", 0), ("...", 0), ("I like tea.", 3), ("snake_case 48213", 3), ("a\0b", 2)],
)
def test_the_words_of_a_text_are_counted(text: str, count: int) -> None:
    """A long memory that has a word says less about it than a short one."""
    assert count_words(text) == count
