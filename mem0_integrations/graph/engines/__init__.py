"""The graph databases that a `GraphMemory` can be kept in."""
