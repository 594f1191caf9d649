from addonkit import hookimpl


@hookimpl
def addon_modules() -> object:
    return [{"generalPages": []}]
