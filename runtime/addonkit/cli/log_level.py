"""``addonkit log-level``: the level of the log of running processes, changed for a limited time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from addonkit.cli.group import with_config
from addonkit.errors import AddonkitError

LEVELS = ("debug", "info", "warning", "error")
DEFAULT = "10m"


class Duration(click.ParamType[int]):
    """A number of seconds, at most a day, written as ``90s``, ``10m`` or ``2h``."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Parse the value."""
        from addonkit.schedule import parse_duration
        from addonkit.server.log_level import LONGEST_S

        seconds = value if isinstance(value, int) else parse_duration(value)
        if seconds is None or seconds > LONGEST_S:
            self.fail(f"'{value}' is not a time of up to a day; write one such as 90s, 10m or 2h", param, ctx)
        return seconds


@with_config
@click.command("log-level", short_help="Show or change the level of the log of running processes.")
@click.argument("level", required=False, type=click.Choice(LEVELS))
@click.option("--for", "seconds", type=Duration(), help=f"For how long: 90s, 10m, 2h. [default: {DEFAULT}]")
@click.option("--reset", is_flag=True, help="Apply the level of the configuration again.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON array.")
def log_level(config: Path | None, level: str | None, seconds: int | None, reset: bool, as_json: bool) -> int:
    """Show the level of the log of all running processes with this configuration, or change it for a limited time.

    It reaches the processes of 'addonkit serve' and 'addonkit work' on this machine or in this container, as root or as
    their user (Linux only). Afterwards, the level of the configuration applies again.
    """
    from addonkit.cli.output import iso_time, print_rows
    from addonkit.schedule import parse_duration
    from addonkit.server.log_level_socket import SILENT, ask_all
    from addonkit.settings import configuration_at

    if (level is not None and reset) or (level is None and seconds is not None):
        raise click.UsageError("name a level, with or without --for, or use --reset alone")
    path = configuration_at(config)
    request = (level, float(seconds or parse_duration(DEFAULT) or 0)) if level is not None else None
    found = ask_all(path, request, reset=reset)
    if not found:
        raise AddonkitError(
            f"no process with the configuration '{path}' runs on this machine or in this container; name the file that "
            "'addonkit serve' was started with in --config, or start the add-on"
        )
    rows = [
        {"process": one.process, "pid": one.pid or None, "level": one.level or None, "until": iso_time(one.until)}
        for one in found
    ]
    print_rows(rows, ["process", "pid", "level", "until"], as_json)
    if SILENT in found:
        raise AddonkitError(
            "not all processes have answered; run this as root or as their user, and look in the log for blocked ones"
        )
    return 0
