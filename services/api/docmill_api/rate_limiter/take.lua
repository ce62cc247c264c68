-- Take one request from every limit, or from none; what is left of each, by the server's clock.
-- Each key holds when its limit will be whole again (GCRA): microseconds since the epoch.
-- KEYS: one per limit. ARGV: for each the count and the window (microseconds).
-- Returns for each: microseconds until a request fits (0: it did), how many more fit, microseconds
-- until the limit is whole.
local clock = redis.call("time")
local now = clock[1] * 1000000 + clock[2]

local limits, fits = {}, true
for i, key in ipairs(KEYS) do
    local window = tonumber(ARGV[2 * i])
    local interval = math.floor(window / tonumber(ARGV[2 * i - 1]))
    local whole = math.max(tonumber(redis.call("get", key) or 0), now)
    -- A clock that was set back must lock nobody out for longer than a window.
    whole = math.min(whole, now + window)
    local wait = math.max(whole + interval - window - now, 0)
    limits[i] = {whole = whole, interval = interval, window = window, wait = wait}
    fits = fits and wait == 0
end

local answer = {}
for i, key in ipairs(KEYS) do
    local limit = limits[i]
    if fits then
        limit.whole = limit.whole + limit.interval
        local milliseconds = math.ceil((limit.whole - now) / 1000)
        redis.call("set", key, string.format("%.0f", limit.whole), "px", milliseconds)
    end
    local used = limit.whole - now
    answer[i] = {limit.wait, math.floor((limit.window - used) / limit.interval), used}
end
return answer
