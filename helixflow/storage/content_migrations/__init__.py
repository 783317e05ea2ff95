"""The history of the schema of kept content."""
