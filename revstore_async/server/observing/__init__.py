"""The operator's view of a server: access log, metrics, traces, health."""
