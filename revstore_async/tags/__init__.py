"""Tags: the links that name a revision, how they change, and their history."""
