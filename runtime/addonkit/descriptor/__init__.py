"""The descriptor: checks of plugins' modules and scopes, and their merge into one document.

Nothing here reads a file, a request or the deployment's settings.
"""
