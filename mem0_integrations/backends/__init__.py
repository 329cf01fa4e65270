"""The Mem0s behind `AgentMemory`."""
