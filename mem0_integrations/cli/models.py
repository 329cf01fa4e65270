"""The chat models of the commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mem0_integrations.errors import ConfigurationError, MissingExtraError

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel

__all__ = ["chat_model"]


def chat_model(name: str | None) -> BaseChatModel | None:
    """Create the chat model with a name such as `openai:gpt-5-mini`; None for None."""
    if name is None:
        return None
    if not name.strip():
        raise ConfigurationError("--model is empty; write provider:model, or leave it out.")
    try:
        from langchain.chat_models import init_chat_model
    except ImportError as error:
        raise MissingExtraError("--model", "langchain") from error
    try:
        model: BaseChatModel = init_chat_model(name)
    except Exception as error:
        # What follows the first line is a list of every provider, or a link.
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ConfigurationError(
            f"The model {name!r} cannot be used: {reason} (Models are named provider:model, such "
            f"as openai:gpt-5-mini.)"
        ) from error
    return model
