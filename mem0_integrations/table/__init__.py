"""Texts with vectors and words in a SQLite file, searched exactly."""
