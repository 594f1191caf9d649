from addonkit import hookimpl, public
from quart import Blueprint

blueprint = Blueprint("raw_outside", __name__, url_prefix="/elsewhere")


@blueprint.get("/x")
@public
async def x() -> str:
    return ""


@hookimpl
def addon_blueprint() -> Blueprint:
    return blueprint
