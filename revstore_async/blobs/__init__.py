"""Content by its digest, and the layer links by which a repository has it."""
