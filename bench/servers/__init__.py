"""The servers that a run starts: MinIO, Docker Distribution, ours; each in its own process, on loopback."""
