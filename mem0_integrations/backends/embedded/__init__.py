"""The embedded default: a local embedder and a vector store in one SQLite file."""
