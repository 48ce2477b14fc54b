"""The server as a process: uvicorn, its stack, the requests under way, its end."""
