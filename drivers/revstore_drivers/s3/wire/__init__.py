"""S3's HTTP: signed requests, their bodies and answers, the sessions that carry them."""
