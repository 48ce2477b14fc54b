"""Bodies of requests and answers as streams, with the deadlines that bound them."""
