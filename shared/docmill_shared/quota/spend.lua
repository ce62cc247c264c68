-- Charge a call to every limit, or to none; return the milliseconds to wait, 0 if it was charged.
-- KEYS: prefix. ARGV: window (ms), then for each limit its name, its size and the cost.
local prefix, window = KEYS[1], tonumber(ARGV[1])
local clock = redis.call("time")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local wait = math.max(redis.call("pttl", prefix .. ":pause"), 0)

local function cost_of(entry)
    return tonumber(string.match(entry, ":(%d+)$"))
end

for i = 2, #ARGV, 3 do
    local spent = prefix .. ":" .. ARGV[i]
    local limit, cost = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
    redis.call("zremrangebyscore", spent, "-inf", now - window)
    -- Entries are batches, so there are few of them.
    local entries = redis.call("zrange", spent, 0, -1, "withscores")
    local sum = 0
    for j = 1, #entries, 2 do sum = sum + cost_of(entries[j]) end
    local excess, j = sum + cost - limit, 1
    while excess > 0 and entries[j] do
        excess = excess - cost_of(entries[j])
        wait = math.max(wait, entries[j + 1] + window - now + 1)
        j = j + 2
    end
end

if wait == 0 then
    local number = redis.call("incr", prefix .. ":number")
    for i = 2, #ARGV, 3 do
        local spent = prefix .. ":" .. ARGV[i]
        redis.call("zadd", spent, now, number .. ":" .. ARGV[i + 2])
        redis.call("pexpire", spent, 2 * window)
    end
end
return math.ceil(wait)
