-- Sends GET requests in turn: each line of a file is a path, or a path, a tab, and the value of Authorization.

package.path = package.path .. ";" .. debug.getinfo(1, "S").source:match("@(.*/)") .. "?.lua"
done = require("counts")

local requests = {}
local place = 0

function init(args)
  for line in io.lines(args[1]) do
    local path, authorization = line:match("^([^\t]*)\t(.*)$")
    local headers = authorization and { ["Authorization"] = authorization } or {}
    requests[#requests + 1] = wrk.format("GET", path or line, headers)
  end
end

function request()
  place = place % #requests + 1
  return requests[place]
end
