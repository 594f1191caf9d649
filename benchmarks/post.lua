-- Sends webhooks to one path, with the tokens of a file in turn and a unique identifier each.

package.path = package.path .. ";" .. debug.getinfo(1, "S").source:match("@(.*/)") .. "?.lua"
done = require("counts")

local tokens = {}
local place, run = 0, 0
local path, body

function init(args)
  path, run = args[2], args[3]
  body = '{"webhookEvent": "jira:issue_updated", "issue": {"id": "10001", "key": "AB-1"}, "text": "'
    .. string.rep("x", tonumber(args[4])) .. '"}'
  for token in io.lines(args[1]) do
    tokens[#tokens + 1] = token
  end
end

function request()
  place = place + 1
  return wrk.format("POST", path, {
    ["Authorization"] = "JWT " .. tokens[place % #tokens + 1],
    ["Content-Type"] = "application/json",
    ["X-Atlassian-Webhook-Identifier"] = run .. "-" .. place,
  }, body)
end
