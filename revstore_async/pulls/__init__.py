"""Pull times: the tags and manifests that clients pulled, by day."""
