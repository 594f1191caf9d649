from addonkit import hookimpl
from quart import Blueprint

blueprint = Blueprint("raw_undeclared", __name__, url_prefix="/raw_undeclared")


@blueprint.get("/x")
async def x() -> str:
    return ""


@hookimpl
def addon_blueprint() -> Blueprint:
    return blueprint
