"""A finished run as JSON, Markdown and plots."""
