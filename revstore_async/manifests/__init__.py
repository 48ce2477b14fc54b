"""Manifests as clients know them: put, read, deleted by tag or digest."""
