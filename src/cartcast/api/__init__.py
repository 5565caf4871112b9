"""The HTTP face of the live service: a FastAPI application with a plain ASGI hot route inside."""
