"""What operators see of a server: access log, metrics, traces, health."""
