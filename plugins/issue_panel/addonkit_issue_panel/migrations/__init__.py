"""How the plugin's table came about, one file for each release that changed it; written by Tortoise's own tool."""
