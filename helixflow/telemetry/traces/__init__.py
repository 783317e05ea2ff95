"""Traces: spans of kept requests, built from their events and exported by OTLP."""
