"""The HTTP edge: authenticates inbound requests, and answers those that need no plugin. It does not import Quart."""
