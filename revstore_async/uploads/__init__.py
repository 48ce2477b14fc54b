"""Uploads: layers on their way in, from the first byte to the blob."""
