"""The one descriptor that the host is served: what may stand in it, and how the plugins' parts are merged.

Nothing here reads a file, a request or the deployment's settings.
"""
