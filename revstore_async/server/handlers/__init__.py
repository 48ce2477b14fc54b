"""What the server answers, one module for each kind of resource, and what they share."""
