-- What every queue holds, in one turn whose cost does not grow with their lengths.
-- KEYS: namespace. ARGV: queues that are listed even if nobody ever consumed them.
-- Answer: now (ms), then an array for each queue: name, waiting, in progress, delayed, dead letters,
-- since when it is paused (ms, or nil), the message whose turn is next (or nil).
local namespace, next_few = KEYS[1], 10
local clock = redis.call("time")
local consumed = redis.call("smembers", namespace .. ":__queues__")
local workers = redis.call("zrange", namespace .. ":__heartbeats__", 0, -1)

local names, listed = {}, {}
local function list(name)
    if string.sub(name, -3) ~= ".DQ" and not listed[name] then
        listed[name] = true
        names[#names + 1] = name
    end
end
for _, name in ipairs(ARGV) do list(name) end
for _, name in ipairs(consumed) do list(name) end

local answer = { clock[1] * 1000 + math.floor(clock[2] / 1000) }
for _, name in ipairs(names) do
    local queue = namespace .. ":" .. name
    local in_progress = 0
    for _, worker in ipairs(workers) do
        in_progress = in_progress + redis.call("scard", namespace .. ":__acks__." .. worker .. "." .. name)
    end
    local message = false
    for _, id in ipairs(redis.call("lrange", queue, 0, next_few - 1)) do
        message = redis.call("hget", queue .. ".msgs", id)
        if message then break end
    end
    answer[#answer + 1] = {
        name,
        redis.call("llen", queue),
        in_progress,
        redis.call("hlen", queue .. ".DQ.msgs"),
        redis.call("zcard", queue .. ".XQ"),
        redis.call("get", queue .. ".paused"),
        message,
    }
end
return answer
