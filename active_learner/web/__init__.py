"""The labeling page's server: HTTP, sessions, accounts, server-sent events. starlette and uvicorn are imported here alone."""
