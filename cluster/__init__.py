"""Kubernetes manifests and multi-region control."""
