"""Real servers for the tests: each starts in a temporary folder and reaches no network."""
