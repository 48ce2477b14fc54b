"""Shared by the drivers of buckets: options, retries, the order of keys, reads that go on, refused answers."""
