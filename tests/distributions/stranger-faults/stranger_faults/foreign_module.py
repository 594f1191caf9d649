from addonkit import Module, hookimpl


@hookimpl
def addon_modules() -> object:
    return [Module("generalPages", "stranger_notes", {})]
