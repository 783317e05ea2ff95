"""What goes over the wire: OpenAI's bodies, SSE events and error bodies."""
