"""Manifests by digest: their links, signatures, kept media types and referrers."""
