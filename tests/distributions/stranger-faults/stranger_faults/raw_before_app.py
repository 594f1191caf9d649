from addonkit import hookimpl, public
from quart import Blueprint

blueprint = Blueprint("raw_before_app", __name__, url_prefix="/raw_before_app")


@blueprint.get("/x")
@public
async def x() -> str:
    return ""


@blueprint.before_app_request
async def everywhere() -> None: ...


@hookimpl
def addon_blueprint() -> Blueprint:
    return blueprint
