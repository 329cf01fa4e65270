"""`python -m mem0_integrations` is the command `mem0-integrations`."""

from mem0_integrations.cli import main

main()
