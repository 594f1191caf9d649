"""A stand-in for the npm package @forge/manifest, whose processor a test writes."""

from __future__ import annotations

import json
from pathlib import Path

from addonkit.forge.package_folder import Package

PROCESSORS = {
    "FullValidationProcessor": "full-validation-processor",
    "ProductTriggerValidationProcessor": "product-trigger-validation-processor",
    "DeprecatedEgressPermissionsValidationProcessor": "deprecated-egress-permissions-validation-processor",
    "RemoteComputeValidationProcessor": "remote-compute-validation-processor",
}
ACCEPTS = "return { success: true, errors: [], manifestObject: { yamlContent: {} } };"
_AJV = "exports.default = class { compile() { return () => true; } };"


def make_package(modules: Path, process: str = ACCEPTS, *, version: str = "13.7.0", index: str = "") -> Package:
    """Write the package.

    Args:
        modules: The folder ``node_modules`` to write it to.
        process: JavaScript, the body of ``process(file)`` of the full processor; the others accept everything.
        version: Its version.
        index: JavaScript that runs when the package is loaded.
    """
    folder = modules / "@forge/manifest"
    files = {
        "package.json": json.dumps({"name": "@forge/manifest", "version": version, "main": "out/index.js"}),
        "out/index.js": "",
        "out/schema/manifest-schema.json": "{}",
        "node_modules/ajv/index.js": index + _AJV,
        "node_modules/ajv-formats/index.js": "module.exports = () => {};",
    }
    for name, file in PROCESSORS.items():
        body = process if name == "FullValidationProcessor" else ACCEPTS
        files[f"out/processor/{file}.js"] = f"exports.{name} = class {{ async process(file) {{ {body} }} }};"
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    return Package(folder, version)
