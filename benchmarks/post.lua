-- Sends webhooks to one path, with the tokens of a file in turn and a unique identifier each; prints counts like rotate.lua.

local tokens = {}
local place, run = 0, 0
local path, body

function init(args)
  path, run = args[2], args[3]
  body = '{"webhookEvent": "jira:issue_updated", "issue": {"id": "10001", "key": "AB-1"}, "text": "'
    .. string.rep("x", 2000) .. '"}'
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

function done(summary, latency)
  io.write(string.format(
    '\n{"requests": %d, "duration_us": %d, "refused": %d, "broken": %d, "p50_us": %d, "p99_us": %d}\n',
    summary.requests, summary.duration, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)
  ))
end
