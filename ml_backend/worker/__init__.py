"""The worker process: takes jobs from standard input, one after the other (docs/architecture.md, "Messages")."""
