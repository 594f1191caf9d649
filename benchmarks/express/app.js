// The other side of `make bench ARGS="--only express"`: the benchmark plugin's pages with atlassian-connect-express.
//
// The working folder has config.json, atlassian-connect.json, and sites.json with the installations and their lists.

const fs = require("fs");
const path = require("path");
const express = require("express");
const hbs = require("express-hbs");
const ace = require("atlassian-connect-express");
const { DataTypes } = require("sequelize");

const app = express();
const addon = ace(app);
const pathOf = (module) => module.url.split("?")[0];
const page = (key) => pathOf(addon.descriptor.modules.webPanels.find((module) => module.key === key));

const Row = addon.schema.define(
  "Row",
  {
    clientKey: DataTypes.STRING,
    issueKey: DataTypes.STRING,
    text: DataTypes.STRING(200),
    done: DataTypes.BOOLEAN,
    place: DataTypes.INTEGER,
  },
  { indexes: [{ fields: ["clientKey", "issueKey"] }] },
);
const Webhook = addon.schema.define("Webhook", {
  clientKey: DataTypes.STRING,
  identifier: { type: DataTypes.STRING, unique: true },
  body: DataTypes.JSON,
});

app.engine("hbs", hbs.express4());
app.set("view engine", "hbs");
app.set("views", path.join(__dirname, "views"));
app.set("port", addon.config.port());
app.use(express.json());
app.use(addon.middleware());

app.get(page("bench-session"), addon.authenticate(), (req, res) => {
  res.render("session", { issueKey: req.query.issue_key });
});

app.get(page("bench-rows"), addon.authenticate(), async (req, res, next) => {
  try {
    const where = { clientKey: req.context.clientKey, issueKey: req.query.issue_key };
    const rows = await Row.findAll({ where, order: ["place"] });
    res.render("rows", { rows: rows.map((row) => ({ ...row.get(), created: row.createdAt.toISOString() })) });
  } catch (error) {
    next(error);
  }
});

// atlassian-connect-express answers webhooks before its listeners run; this one is stored before it is answered.
app.post(pathOf(addon.descriptor.modules.webhooks[0]), addon.authenticate(), async (req, res, next) => {
  try {
    const identifier = req.get("x-atlassian-webhook-identifier");
    await Webhook.create({ clientKey: req.context.clientKey, identifier, body: req.body });
    res.status(204).end();
  } catch (error) {
    next(error);
  }
});

async function start() {
  await Row.sync();
  await Webhook.sync();
  const { sites, issues, rows } = JSON.parse(fs.readFileSync("sites.json", "utf8"));
  for (const site of sites) {
    await addon.settings.set("clientInfo", site, site.clientKey);
    const lists = [];
    for (let issue = 1; issue <= issues; issue += 1) {
      for (let place = 1; place <= rows; place += 1) {
        const text = `Step ${place} of this issue`;
        lists.push({ clientKey: site.clientKey, issueKey: `AB-${issue}`, text, done: place % 3 === 0, place });
      }
    }
    await Row.bulkCreate(lists);
  }
  app.listen(app.get("port"), "127.0.0.1");
}

process.on("SIGINT", () => process.exit(0));
start().catch((error) => {
  console.error(error.message);
  process.exit(1);
});
