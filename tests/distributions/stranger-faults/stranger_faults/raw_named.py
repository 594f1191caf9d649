from addonkit import hookimpl, public
from quart import Blueprint

blueprint = Blueprint("stranger_notes", __name__, url_prefix="/raw_named")


@blueprint.get("/x")
@public
async def x() -> str:
    return ""


@hookimpl
def addon_blueprint() -> Blueprint:
    return blueprint
