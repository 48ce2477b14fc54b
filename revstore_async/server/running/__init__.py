"""The server as a process: uvicorn, its connections, the requests under way, its shutdown."""
