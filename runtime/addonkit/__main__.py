"""``python -m addonkit``: the command line."""

from addonkit.cli import main

if __name__ == "__main__":
    main()
