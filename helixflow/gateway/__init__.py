"""The pipeline that every request goes through, and its faces."""
