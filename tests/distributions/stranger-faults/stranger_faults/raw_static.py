from addonkit import hookimpl, public
from quart import Blueprint

blueprint = Blueprint("raw_static", __name__, url_prefix="/raw_static", static_folder=".")


@blueprint.get("/x")
@public
async def x() -> str:
    return ""


@hookimpl
def addon_blueprint() -> Blueprint:
    return blueprint
