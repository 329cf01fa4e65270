"""ArcadeDB with Bolt on loopback, as a program: FOLDER PORT, the password in SERVER_PASSWORD.

It prints READY when it answers and stops when its standard input ends. A Java virtual machine
cannot be started twice in one process, so every server has a process of its own.
"""

from __future__ import annotations

import os
import sys

from arcadedb_embedded import ArcadeDBServer

DATABASE = "neo4j"


def main(folder: str, port: int, password: str) -> None:
    server = ArcadeDBServer(
        folder,
        root_password=password,
        config={
            "host": "127.0.0.1",
            # Any free one: only Bolt is used.
            "http_port": 0,
            "server_plugins": "Bolt:com.arcadedb.bolt.BoltProtocolPlugin",
            "bolt_port": port,
        },
        jvm_kwargs={"heap_size": "512m"},
    )
    server.start()
    server.create_database(DATABASE)  # Or opens the one of an earlier start.
    print("READY", flush=True)
    sys.stdin.read()
    server.stop()
    # A thread for each client that is still connected would keep the virtual machine alive.
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), os.environ["SERVER_PASSWORD"])
