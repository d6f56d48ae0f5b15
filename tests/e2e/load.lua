-- What one kind of client of test_api_load asks, for wrk: `-- TOKEN reads|writes ID,ID,...`
local token, kind, ids = nil, nil, {}
local threads = 0

function setup(thread)
	thread:set("number", threads)
	threads = threads + 1
end

function init(args)
	token, kind = args[1], args[2]
	for id in args[3]:gmatch("[^,]+") do ids[#ids + 1] = id end
	math.randomseed(7 + number)
end

local reads = {
	function(id) return "/v1/devices/" .. id end,
	function() return "/v1/devices?limit=20" end,
	function() return "/v1/sessions" end,
	function() return "/v1/me" end,
	function() return "/v1/status" end,
}
local count = 0

function request()
	local id = ids[math.random(#ids)]
	local headers = { ["Authorization"] = "Bearer " .. token, ["Host"] = "localhost" }
	count = count + 1
	if kind == "reads" then
		return wrk.format("GET", reads[count % #reads + 1](id), headers)
	end
	headers["Content-Type"] = "application/json"
	return wrk.format("PATCH", "/v1/devices/" .. id, headers, '{"enabled": true, "name": "n' .. count .. "-" .. number .. '-' .. id:sub(-10) .. '"}')
end

function done(summary, latency)
	local e = summary.errors
	io.write(string.format(
		'{"requests": %d, "seconds": %.2f, "p50_ms": %.1f, "p99_ms": %.1f, "max_ms": %.1f, "refused": %d, "broken": %d, "late": %d}\n',
		summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3,
		e.status, e.connect + e.read + e.write, e.timeout))
end
