"""The Mem0s behind `AgentMemory`."""

import os

# Mem0 reads it when it is imported, which only the modules of this package do.
os.environ.setdefault("MEM0_TELEMETRY", "False")
