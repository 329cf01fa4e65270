# ruff: noqa: RUF001  (the dialogues are in many scripts)
from __future__ import annotations

import copy
import json
import logging
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.language_models import FakeListChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage
from mem0 import Memory
from mem0.configs.base import MemoryConfig
from mem0.exceptions import LLMError

from mem0_integrations.errors import BackendError, ExtractionError, InvalidInputError
from mem0_integrations.learning.extraction import CheckedLLM, SentenceExtractor
from mem0_integrations.messages import Mem0Message
from mem0_integrations.models import LangChainEmbedder, LangChainLLM


def user(content: str) -> Mem0Message:
    return {"role": "user", "content": content}


def extract(*messages: Mem0Message) -> list[str]:
    return SentenceExtractor().extract(messages)


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        # Names, identifiers, contact data
        ("I'm Priya", ["I'm Priya"]),
        ("Hi, I'm Priya.", ["Hi, I'm Priya."]),
        (
            "Hi! I’m Priya and my order number is 48213, the kettle leaks.",
            ["I’m Priya and my order number is 48213, the kettle leaks."],
        ),
        ("48213", ["48213"]),
        ("Priya Sharma", ["Priya Sharma"]),
        (
            "My email is priya.sharma@example.com. Write to me there.",
            ["My email is priya.sharma@example.com.", "Write to me there."],
        ),
        (
            "I read https://shop.example/p?id=4&x=1.5 before I ordered.",
            ["I read https://shop.example/p?id=4&x=1.5 before I ordered."],
        ),
        (
            "I live at 12 St. James Rd. in Leeds. My flat is no. 5.",
            ["I live at 12 St. James Rd. in Leeds.", "My flat is no. 5."],
        ),
        (
            "My address is:\n12 Main Street,\nSpringfield",
            ["My address is: 12 Main Street, Springfield"],
        ),
        ("It cost $129.99. I paid by card.", ["It cost $129.99.", "I paid by card."]),
        ("I run v2.3.1. It crashes!!", ["I run v2.3.1.", "It crashes!!"]),
        # Preferences, negations, dates, allergies
        ("I prefer e-mail over phone calls.", ["I prefer e-mail over phone calls."]),
        (
            "I am allergic to peanuts, e.g. in sauces. Never send me samples.",
            ["I am allergic to peanuts, e.g. in sauces.", "Never send me samples."],
        ),
        ("No, I never ordered that.", ["No, I never ordered that."]),
        (
            "Don't call me before 4 p.m. I work nights.",
            ["Don't call me before 4 p.m.", "I work nights."],
        ),
        ("My subscription renews on 3 May.", ["My subscription renews on 3 May."]),
        (
            "I'm a patient of Dr. Smith and J. R. Hobbs.",
            ["I'm a patient of Dr. Smith and J. R. Hobbs."],
        ),
        (
            "When I called on Monday, nobody answered.",
            ["When I called on Monday, nobody answered."],
        ),
        ("Remember that I'm vegan", ["Remember that I'm vegan"]),
        ("i'm vegan\nmy kid is 3\nthanks", ["i'm vegan", "my kid is 3"]),
        (
            "It works for me... mostly. Then it stops…",
            ["It works for me... mostly.", "Then it stops…"],
        ),
        (
            "U.S. customer here. I live in the U.S. My zip is 10001.",
            ["U.S. customer here.", "I live in the U.S.", "My zip is 10001."],
        ),
        ("HELLO MY ORDER IS LATE", ["HELLO MY ORDER IS LATE"]),
        ("Thanks Sarah, but my kettle still leaks.", ["Thanks Sarah, but my kettle still leaks."]),
        (
            "I have two kids, Tom and Ana, and I work at night, but my wife is at home in the "
            "morning, so deliveries should come before noon; do not ring because the baby sleeps.",
            [
                "I have two kids, Tom and Ana",
                "I work at night",
                "my wife is at home in the morning",
                "deliveries should come before noon",
                "do not ring because the baby sleeps.",
            ],
        ),
        # Courtesy
        ("Hi", []),
        ("Hello there!", []),
        ("Good morning Sarah, thanks!", []),
        ("Thanks, Sarah Jones.", []),
        ("Thank you so much for your help! Bye!", []),
        ("ok great, sounds good 👍", []),
        ("Yes.", []),
        ("👍🎉", []),
        ("...", []),
        ("Best regards,\nPriya Sharma", ["Priya Sharma"]),
        # Questions
        ("Where is my parcel?", []),
        ("can you help me", []),
        ("what is the status of my order", []),
        ("My order 48213 arrived broken, can you help?", ["My order 48213 arrived broken"]),
        ("I'm vegan, do you have any options?", ["I'm vegan"]),
        ("Hi Sarah, can you help?", []),
        ("Where is my order 48213?", ["Where is my order 48213?"]),
        (
            "Could you send the invoice to priya@example.com?",
            ["Could you send the invoice to priya@example.com?"],
        ),
        ("If I return it, can I get a refund?", []),
        ("Do you ship to Paris, London, or Rome?", []),
        ("Is it open at 5?", []),
        ("Did you open in 2019?", []),
        ("I bought it in May and how long is the warranty?", ["I bought it in May"]),
        ("My kettle leaks can you help?", ["My kettle leaks"]),
        ("My number is blocked, right?", ["My number is blocked"]),
        ("Can you help, my kettle leaks?", ["my kettle leaks"]),
        ("What?! I never got a refund.", ["I never got a refund."]),
        (
            "Is there a way to change my address to 5 Elm Street?",
            ["Is there a way to change my address to 5 Elm Street?"],
        ),
        (
            "Könnten Sie es in die Hauptstraße 5 schicken?",
            ["Könnten Sie es in die Hauptstraße 5 schicken?"],
        ),
        ("Don’t you have it?", []),
        # Requests
        ("Please help me.", []),
        ("Tell me my order number.", []),
        ("Show me my orders", []),
        ("I want to know my balance.", []),
        ("Check order 48213 please.", ["Check order 48213 please."]),
        ("Check the invoice 204177 please.", ["Check the invoice 204177 please."]),
        ("List of my allergies: nuts, eggs.", ["List of my allergies: nuts, eggs."]),
        ("Wait times are too long.", ["Wait times are too long."]),
        ("Wait, I never ordered this.", ["Wait, I never ordered this."]),
        ("Wait.", []),
        ("Please explain it slowly, I'm new here.", ["I'm new here."]),
        ("Send it to 12 Main Street instead.", ["Send it to 12 Main Street instead."]),
        # Lists and quotes
        (
            "I need:\n- a blue kettle\n- two cups\n3. no plastic",
            ["I need: a blue kettle", "two cups", "no plastic"],
        ),
        ("> How can I help you today?\nMy kettle leaks.", ["My kettle leaks."]),
        ("My kettle leaks. My  kettle\tleaks! my kettle leaks", ["My kettle leaks."]),
        # Other languages
        ("Guten Tag! Ich heiße Jürgen. Können Sie mir bitte helfen?", ["Ich heiße Jürgen."]),
        (
            "Meine Bestellung 48213 ist kaputt, können Sie mir helfen?",
            ["Meine Bestellung 48213 ist kaputt"],
        ),
        (
            "Ich bin am 3. Mai umgezogen. Z.B. Berlin passt mir.",
            ["Ich bin am 3. Mai umgezogen.", "Z.B. Berlin passt mir."],
        ),
        (
            "Bonjour ! Je suis allergique aux noix. Merci beaucoup !",
            ["Je suis allergique aux noix."],
        ),
        ("Où est mon colis ?", []),
        ("Hola, mi pedido llegó roto, ¿puede ayudarme?", ["Hola, mi pedido llegó roto"]),
        ("¿Dónde está mi pedido? No como carne.", ["No como carne."]),
        ("Ciao! Sono vegetariana, può aiutarmi?", ["Sono vegetariana"]),
        ("Olá, moro em Lisboa. Obrigado!", ["Olá, moro em Lisboa."]),
        ("Hoi, ik woon in Utrecht. Waar is mijn pakket?", ["Hoi, ik woon in Utrecht."]),
        ("你好！我叫李明。我对花生过敏，你能帮我吗？谢谢！", ["我叫李明。", "我对花生过敏"]),
        ("こんにちは。私はベジタリアンです。営業時間は何時ですか。", ["私はベジタリアンです。"]),
        ("안녕하세요! 저는 서울에 살아요. 감사합니다.", ["저는 서울에 살아요."]),
        ("Привет! Меня зовут Анна. Где мой заказ?", ["Меня зовут Анна."]),
        ("مرحبا! اسمي ليلى. أين طلبي؟", ["اسمي ليلى."]),
        ("नमस्ते! मैं दिल्ली में रहता हूँ। धन्यवाद", ["मैं दिल्ली में रहता हूँ।"]),
    ],
)
def test_a_message_keeps_its_statements_and_nothing_else(message: str, kept: list[str]) -> None:
    """Lost facts cannot be recalled; kept small talk buries the facts that can."""
    assert extract(user(message)) == kept


def test_only_the_user_is_quoted() -> None:
    """What the assistant or a tool said is not a fact about the user."""
    dialogue: list[Mem0Message] = [
        {"role": "system", "content": "The customer is a premium member."},
        {"role": "user", "content": "My kettle leaks.", "name": "priya"},
        {"role": "assistant", "content": "I am sorry. Your refund is 20 euros."},
        {"role": "tool", "content": "order 48213 shipped"},
        {"role": "user", "content": "I bought it in May. My kettle leaks!"},
    ]
    assert extract(*dialogue) == ["My kettle leaks.", "I bought it in May."]


def test_nothing_said_means_nothing_kept() -> None:
    """An empty turn is a valid turn."""
    assert extract() == []
    assert extract(user("")) == []
    assert extract(user(" \n\t ")) == []


def test_a_pasted_document_is_read_in_part_and_its_content_is_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The cut must be visible to the operator, and a log must not hold what users write."""
    document = "My secret is safe. " + "x" * 19_981 + " My order is late."
    with caplog.at_level(logging.WARNING, "mem0_integrations"):
        kept = extract(user(document))
    assert kept == ["My secret is safe.", "x" * 19_981]
    assert caplog.messages == ["read 20000 of the 20018 characters of a message"]


@pytest.mark.parametrize(
    "text",
    [
        "a" * 20_000,
        "?" * 19_999 + "x",
        "." * 19_999 + "x",
        "hi " * 6_666,
        "Hi Anna " * 2_500,
        "a,\n" * 6_666,
        "," * 19_999 + "?",
        "，" * 19_999 + "？",
        ", right ??" * 1_999 + "x",
        "can you " * 2_500 + "?",
        "My order 48213 is broken, can you help? " * 500,
        "haha" * 4_999 + "x",
        "please " * 2_857,
        "abcdefghij" * 1_999 + "?",
    ],
    ids=lambda text: repr(text[:10]),
)
def test_no_text_makes_reading_slow(text: str) -> None:
    """Whoever can send a message could otherwise stop the service with it."""
    extract(user(text))


words = re.compile(r"\w+")
snippets = st.lists(
    st.one_of(
        st.text(),
        st.sampled_from(
            ["Hi", "I'm", "Priya", "can you", "help", "?", ".", ", ", "48213", "\n", "- ", ":", " "]
        ),
        st.sampled_from(
            ["，", "。", "吗", "谢谢", "¿", "e.g.", "...", "😡", "> ", "2. ", "No.", " and ", "’"]
        ),
    )
).map("".join)


@given(snippets)
def test_every_kept_word_was_said(text: str) -> None:
    """A sentence that was not said is a false memory; a sentence said twice is one memory."""
    kept = extract(user(text), user(text))
    said = set(words.findall(text))
    assert all(set(words.findall(sentence)) <= said for sentence in kept)
    assert all(sentence == " ".join(sentence.split()) and sentence for sentence in kept)
    assert len(set(kept)) == len(kept)


@given(snippets, st.sampled_from(["assistant", "system", "tool", "developer", "function"]))
def test_nothing_is_kept_of_other_roles(text: str, role: str) -> None:
    """Feedback loops start where an agent remembers its own words."""
    assert extract({"role": role, "content": text}) == []


def test_importing_the_module_does_not_import_mem0() -> None:
    """The embedded extractor is used where a start-up of two seconds is felt."""
    code = "import sys, mem0_integrations.learning.extraction; sys.exit('mem0' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


JSON_OBJECT = {"type": "json_object"}
PROMPT = [{"role": "system", "content": "Answer in JSON."}, user("I am vegan.")]
FACTS = json.dumps({"memory": [{"text": "User is vegan", "attributed_to": "user"}]})


def answering(*answers: str) -> LangChainLLM:
    return LangChainLLM(FakeListChatModel(responses=list(answers)))


def test_a_langchain_model_answers_mem0_with_text() -> None:
    """Mem0 parses text; a LangChain model answers with a message."""
    assert answering(FACTS).generate_response(PROMPT, response_format=JSON_OBJECT) == FACTS


def test_the_text_of_content_blocks_is_joined() -> None:
    """Reasoning models answer with blocks, of which only the text is the answer."""
    blocks: list[str | dict[str, object]] = [
        {"type": "reasoning", "reasoning": "hm"},
        {"type": "text", "text": '{"memory":'},
        " []}",
    ]
    llm = LangChainLLM(GenericFakeChatModel(messages=iter([AIMessage(content=blocks)])))
    assert llm.generate_response(PROMPT) == '{"memory": []}'


def test_tools_are_refused() -> None:
    """Ignoring them would answer without the tool, as if that were what was asked."""
    with pytest.raises(InvalidInputError, match="takes no tools"):
        answering("").generate_response(PROMPT, tools=[{"type": "function"}])


@pytest.mark.parametrize(
    "answer",
    [
        FACTS,
        '{"memory": []}',
        f"```json\n{FACTS}\n```",
        f"<think>The user is vegan.</think>{FACTS}",
        f"Here you are: {FACTS} Anything else?",
    ],
)
def test_an_answer_that_mem0_can_read_passes(answer: str) -> None:
    """The check must not be stricter than the reader it protects."""
    llm = CheckedLLM(answering(answer))
    assert llm.generate_response(PROMPT, response_format=JSON_OBJECT) == answer


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "   ",
        "<think>forever",
        "I cannot help with that.",
        '{"memory": [{"text": "cut',
        "[]",
        "null",
        "{}",
        '{"memory": null}',
        '{"memory": "User is vegan"}',
        '{"memory": ["User is vegan"]}',
        '{"memory": [{"fact": "User is vegan"}]}',
        '{"memory": [{"text": 5}]}',
        "[" * 100_000,
    ],
    ids=lambda answer: repr(answer[:40]),
)
def test_an_unusable_extraction_answer_is_a_retryable_error(answer: str) -> None:
    """Mem0 takes it for "nothing to remember", and the turn is lost without a trace."""
    llm = CheckedLLM(answering(answer))
    with pytest.raises(ExtractionError, match="not a JSON object with a list of texts") as failed:
        llm.generate_response(PROMPT, response_format=JSON_OBJECT)
    assert failed.value.retryable
    assert "vegan" not in str(failed.value)


def test_an_answer_that_need_not_be_json_is_not_checked() -> None:
    """Mem0 also asks its model for summaries in prose."""
    assert CheckedLLM(answering("A summary.")).generate_response(PROMPT) == "A summary."


def test_a_checked_model_is_otherwise_the_model_itself() -> None:
    """Mem0 and its users read and set up more than one method of a provider."""
    llm = answering("")
    assert CheckedLLM(llm).model is llm.model
    assert copy.copy(CheckedLLM(llm)).model is llm.model
    with pytest.raises(AttributeError, match="temperature"):
        _ = CheckedLLM(llm).temperature


def test_embeddings_are_called_as_mem0_calls_its_embedder() -> None:
    """Many texts must cost one call: that is what makes a bulk import quick."""
    model = DeterministicFakeEmbedding(size=8)
    embedder = LangChainEmbedder(model)
    assert embedder.embed("I am vegan.", "search") == model.embed_query("I am vegan.")
    assert embedder.embed("I am vegan.", memory_action="add") == model.embed_query("I am vegan.")
    assert embedder.embed_batch(["a", "b"], "add") == model.embed_documents(["a", "b"])
    assert embedder.embed_batch([]) == []
    assert all(type(x) is float for x in embedder.embed("a"))


@pytest.mark.parametrize(("given_dims", "dims"), [(None, 8), (256, 256)])
def test_the_length_of_a_vector_is_found_or_given(given_dims: int | None, dims: int) -> None:
    """A store is created for one length: nobody should have to look it up."""
    embedder = LangChainEmbedder(DeterministicFakeEmbedding(size=8), dims=given_dims)
    assert embedder.embedding_dims == dims
    assert embedder.config.embedding_dims == dims


class ForgetfulEmbeddings(Embeddings):
    def embed_query(self, text: str) -> list[float]:
        return [0.0]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [[0.0] for _ in texts[1:]]


def test_missing_vectors_are_an_error() -> None:
    """Mem0 pairs texts with vectors and drops the texts that are left over."""
    with pytest.raises(BackendError, match="1 vectors for 2 texts"):
        LangChainEmbedder(ForgetfulEmbeddings(), dims=1).embed_batch(["a", "b"])


@pytest.fixture
def mem0_memory(tmp_path, monkeypatch: pytest.MonkeyPatch):
    """A real Mem0 on local Qdrant, whose models a test replaces."""
    monkeypatch.setenv("OPENAI_API_KEY", "unused")
    store = {"path": str(tmp_path / "qdrant"), "embedding_model_dims": 8, "on_disk": True}
    config = MemoryConfig(
        vector_store={"provider": "qdrant", "config": store},
        history_db_path=str(tmp_path / "history.db"),
    )
    memory = Memory(config)
    memory.embedding_model = LangChainEmbedder(DeterministicFakeEmbedding(size=8), dims=8)
    yield memory
    memory.close()


@pytest.mark.filterwarnings("ignore:Payload indexes have no effect")
def test_mem0_runs_on_the_adapters(mem0_memory: Memory) -> None:
    """The adapters are not Mem0's classes: only Mem0 can tell whether they look like them."""
    mem0_memory.llm = CheckedLLM(answering(FACTS, "I cannot help with that."))
    added = mem0_memory.add([user("I am vegan.")], user_id="priya")
    assert [result["memory"] for result in added["results"]] == ["User is vegan"]
    with pytest.raises(LLMError) as failed:
        mem0_memory.add([user("I moved to Leeds.")], user_id="priya")
    assert isinstance(failed.value.__cause__, ExtractionError)
    found = mem0_memory.get_all(filters={"user_id": "priya"})["results"]
    assert [result["memory"] for result in found] == ["User is vegan"]
