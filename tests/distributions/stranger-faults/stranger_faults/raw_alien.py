from addonkit import hookimpl, public
from quart import Blueprint

blueprint = Blueprint("raw_alien", __name__, url_prefix="/stranger_notes")


@blueprint.get("/x")
@public
async def x() -> str:
    return ""


@hookimpl
def addon_blueprint() -> Blueprint:
    return blueprint
