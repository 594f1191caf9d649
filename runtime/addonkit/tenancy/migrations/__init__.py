"""How the runtime's own tables came to be; written by ``addonkit makemigrations``."""
