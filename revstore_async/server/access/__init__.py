"""Authentication and authorisation of callers: passwords, tokens, policies."""
