from addonkit import hookimpl


@hookimpl
async def addon_instaled() -> None: ...
