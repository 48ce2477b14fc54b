"""What the drivers of buckets share: options, retries, the order of keys, reads that go on, refused answers."""
