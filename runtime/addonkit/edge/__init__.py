"""The ASGI layer in front of Quart: who is speaking, and what is answered before any plugin is asked."""
