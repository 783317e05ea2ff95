"""The administration, as commands: one file per noun, each over the platform's own HTTP API."""
