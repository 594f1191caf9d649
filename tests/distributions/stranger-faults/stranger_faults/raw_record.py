from addonkit import hookimpl, public
from quart import Blueprint

blueprint = Blueprint("raw_record", __name__, url_prefix="/raw_record")


@blueprint.get("/x")
@public
async def x() -> str:
    return ""


blueprint.record(print)


@hookimpl
def addon_blueprint() -> Blueprint:
    return blueprint
