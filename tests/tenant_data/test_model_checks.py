"""Model checks at start-up: every plugin model is tenant-bound, in its plugin's tables, with the tenant manager."""

import sys
from types import ModuleType

import pytest
from addonkit.database.connection import AppModules
from addonkit.database.location import Location
from addonkit.errors import PluginError
from addonkit.tenant_data.connection import tenant_database
from addonkit.tenant_data.model import TenantModel
from addonkit.testing.databases import database_settings
from tortoise import fields
from tortoise.manager import Manager
from tortoise.models import Model


@pytest.fixture
def location(tmp_path):
    return Location(**database_settings(tmp_path))


async def opened_with(location, monkeypatch, others=None, **models):
    apps = {"shop": models} | ({"other": others} if others else {})
    for app, tables in apps.items():
        module = ModuleType(f"tables_of_{app}")
        vars(module).update(tables)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    modules = {app: AppModules(f"tables_of_{app}", None) for app in apps}
    async with tenant_database(location, modules):
        return {name: model._meta.manager for name, model in models.items()}


def model(name, table="shop_thing", base=TenantModel, **attributes):
    attributes["Meta"] = type("Meta", (), {"table": table} | attributes.pop("meta", {}))
    return type(Model)(name, (base,), {"id": fields.IntField(primary_key=True), "__module__": "shop", **attributes})


async def test_model_that_is_tenant_bound_gets_the_tenant_manager(location, monkeypatch):
    managers = await opened_with(location, monkeypatch, Thing=model("Thing"))
    assert type(managers["Thing"]).__name__ == "TenantManager"


async def test_model_check_refuses_a_table_without_the_plugins_prefix(location, monkeypatch):
    with pytest.raises(PluginError, match="'shop' has the table 'thing'"):
        await opened_with(location, monkeypatch, Thing=model("Thing", table="thing"))


async def test_model_check_refuses_the_runtimes_tables(location, monkeypatch):
    with pytest.raises(PluginError, match="addonkit_tenant"):
        await opened_with(location, monkeypatch, Thing=model("Thing", table="addonkit_tenant", base=Model))


@pytest.mark.parametrize("attributes", [{"things": Manager()}, {"meta": {"manager": type("Own", (Manager,), {})()}}])
async def test_model_check_refuses_a_manager_without_tenant_filter(location, monkeypatch, attributes):
    with pytest.raises(PluginError, match="does not filter by tenant"):
        await opened_with(location, monkeypatch, Thing=model("Thing", **attributes))


async def test_model_check_refuses_a_many_to_many_relation(location, monkeypatch):
    thing = model("Thing", tags=fields.ManyToManyField("shop.Tag"))
    with pytest.raises(PluginError, match="many-to-many"):
        await opened_with(location, monkeypatch, Thing=thing, Tag=model("Tag", table="shop_tag"))


async def test_model_check_refuses_a_model_that_is_not_tenant_bound(location, monkeypatch):
    with pytest.raises(PluginError, match=r"'shop' has the model 'Thing'.*; derive it from 'TenantModel'") as refusal:
        await opened_with(location, monkeypatch, Thing=model("Thing", base=Model))
    assert refusal.value.plugin == "shop"


@pytest.mark.parametrize(("one", "other"), [(TenantModel, Model), (Model, TenantModel)])
async def test_model_check_refuses_a_relation_to_an_unbound_model(location, monkeypatch, one, other):
    thing = model("Thing", base=one, tag=fields.ForeignKeyField("shop.Tag"))
    with pytest.raises(PluginError, match="is not tenant-bound"):
        await opened_with(location, monkeypatch, Thing=thing, Tag=model("Tag", table="shop_tag", base=other))


async def test_model_check_refuses_a_relation_to_another_plugins_table(location, monkeypatch):
    thing = model("Thing", tag=fields.ForeignKeyField("other.Tag"))
    with pytest.raises(PluginError, match="tenant-bound models of the same plugin"):
        await opened_with(location, monkeypatch, {"Tag": model("Tag", table="other_tag")}, Thing=thing)


async def test_database_can_be_opened_after_a_refused_plugin(location, monkeypatch):
    with pytest.raises(PluginError):
        await opened_with(location, monkeypatch, Thing=model("Thing", table="thing"))
    assert await opened_with(location, monkeypatch, Thing=model("Thing")) is not None
