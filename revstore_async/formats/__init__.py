"""Digests, names, JSON, descriptors and manifests as bytes and values. No I/O."""
