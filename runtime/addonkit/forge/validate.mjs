// Validates manifests with Forge's own package @forge/manifest, and each Connect module with the schema of its type.
//
// usage: node validate.mjs FOLDER-OF-THE-PACKAGE < {"files": ["manifest.yml"], "foreign": ["/tmp/node_modules"]}
// Prints one JSON object; addonkit.forge.validator reads it. Nothing is sent over a network.
import fs from 'node:fs';
import path from 'node:path';
import Module, { createRequire } from 'node:module';

const LONGEST_MESSAGE = 400;
const MOST_FINDINGS = 100;
const PROCESSORS = {
  FullValidationProcessor: 'full-validation-processor',
  ProductTriggerValidationProcessor: 'product-trigger-validation-processor',
  DeprecatedEgressPermissionsValidationProcessor: 'deprecated-egress-permissions-validation-processor',
  RemoteComputeValidationProcessor: 'remote-compute-validation-processor',
};

// The package's own messages must not mix with the result.
console.log = console.info = console.debug = console.error;

const { files, foreign } = JSON.parse(fs.readFileSync(0, 'utf8'));
// What the package lacks must not be loaded from a folder that others can change.
const searched = Module._nodeModulePaths;
Module._nodeModulePaths = (from) => searched(from).filter((one) => !foreign.includes(one));

const folder = path.resolve(process.argv[2]);
const load = createRequire(path.join(folder, 'package.json'));
const absent = new Set();

/** Load a module; null if it, or one that it needs, is not installed. */
function require(name) {
  try {
    return load(name);
  } catch (error) {
    const found = error?.code === 'MODULE_NOT_FOUND' && /^Cannot find module '([^'/.][^']*)'/.exec(error.message);
    if (!found) throw error;
    absent.add(found[1]);
    return null;
  }
}

const Ajv = require('ajv')?.default;
const addFormats = require('ajv-formats');

// Each processor compiles the same schema of two megabytes, which takes a second: compile it once.
const compiled = new Map();
if (Ajv) {
  const compile = Ajv.prototype.compile;
  Ajv.prototype.compile = function (schema, ...rest) {
    const key = schema?.default ?? schema;
    if (!compiled.has(key)) compiled.set(key, compile.call(this, schema, ...rest));
    return compiled.get(key);
  };
}

const out = path.dirname(load.resolve(folder));
const processors = [];
const missing = [];
for (const [name, file] of Object.entries(PROCESSORS)) {
  try {
    const loaded = require(`${out}/processor/${file}.js`);
    if (loaded) processors.push([name, new loaded[name]({})]);
  } catch (error) {
    missing.push(`${name}: ${cut(error.message)}`);
  }
}
if (absent.size) {
  process.stdout.write(JSON.stringify({ absent: [...absent] }));
  process.exit(0);
}
const text = fs.readFileSync(`${out}/schema/manifest-schema.json`, 'utf8');
// "#" inside a composite condition means a composite condition, not the whole schema.
const schema = JSON.parse(text.replace(/"\$ref":\s*"#"/g, '"$ref": "#/definitions/compositeCondition"'));
const ajv = new Ajv({ allErrors: true, strict: false });
addFormats(ajv);
const checks = new Map();

function cut(text) {
  // JSON cannot hold half of a surrogate pair.
  const line = String(text).toWellFormed().replace(/\s+/g, ' ').trim();
  return line.length > LONGEST_MESSAGE ? `${line.slice(0, LONGEST_MESSAGE)}…` : line;
}

function finding({ level, message, line }) {
  return { level: level === 'warning' ? 'warning' : 'error', message: cut(message), line: Number(line) || null };
}

/** The check of one type of Connect module; null if the package has no schema of it. */
function checkOf(type) {
  if (!checks.has(type)) {
    const own = schema.definitions?.ModuleSchema?.properties?.[`connect-${type}`];
    checks.set(type, own ? ajv.compile({ definitions: schema.definitions, ...own }) : null);
  }
  return checks.get(type);
}

function bodyFindings(connectModules) {
  const found = [];
  for (const [type, bodies] of Object.entries(connectModules ?? {})) {
    const check = checkOf(type);
    if (!check || check(bodies)) continue;
    for (const { instancePath, message, params } of check.errors) {
      const detail = params?.additionalProperty ?? params?.allowedValues?.join(', ');
      const pointer = `/connectModules/${type.replaceAll('~', '~0').replaceAll('/', '~1')}${instancePath}`;
      const words = `${type}${instancePath} ${message}`;
      found.push({ level: 'error', pointer: pointer.toWellFormed(), message: cut(detail ? `${words}: ${detail}` : words) });
    }
  }
  return found;
}

async function report(file) {
  // Files that a manifest names are looked up in its folder.
  process.chdir(path.dirname(file));
  const seen = new Set();
  const results = [];
  let read;
  for (const [name, processor] of processors) {
    const result = await processor.process(file);
    read ??= result.manifestObject?.yamlContent;
    const found = (result.errors ?? []).map(finding).filter((one) => {
      const key = JSON.stringify(one);
      return !seen.has(key) && seen.add(key);
    });
    results.push({ processor: name, success: result.success === true, findings: found.slice(0, MOST_FINDINGS) });
  }
  return { results, bodies: bodyFindings(read?.connectModules).slice(0, MOST_FINDINGS) };
}

const reports = [];
for (const file of files) {
  try {
    reports.push(await report(path.resolve(file)));
  } catch (error) {
    reports.push({ failure: cut(error.stack ?? error) });
  }
}
process.stdout.write(JSON.stringify({ missing, reports }));
