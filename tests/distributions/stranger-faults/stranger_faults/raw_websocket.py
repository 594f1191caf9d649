from addonkit import hookimpl, public
from quart import Blueprint

blueprint = Blueprint("raw_websocket", __name__, url_prefix="/raw_websocket")


@blueprint.websocket("/x")
@public
async def x() -> None: ...


@hookimpl
def addon_blueprint() -> Blueprint:
    return blueprint
