"""A load generator for language-model traffic. It knows nothing of the systems it drives."""
