-- Every worker that was not yet found dead, and how much of each queue it holds.
-- KEYS: namespace. Answer: now (ms), then an array for each worker: id, last heartbeat (ms), and
-- queue, count for each queue of which it holds something.
local namespace = KEYS[1]
local clock = redis.call("time")
local queues = redis.call("smembers", namespace .. ":__queues__")
local found = redis.call("zrange", namespace .. ":__heartbeats__", 0, -1, "withscores")

local answer = { clock[1] * 1000 + math.floor(clock[2] / 1000) }
for i = 1, #found, 2 do
    local worker = { found[i], found[i + 1] }
    for _, name in ipairs(queues) do
        local held = redis.call("scard", namespace .. ":__acks__." .. found[i] .. "." .. name)
        -- Delayed messages are kept by a worker until they are due; nothing is done with them.
        if held > 0 and string.sub(name, -3) ~= ".DQ" then
            worker[#worker + 1] = name
            worker[#worker + 1] = held
        end
    end
    answer[#answer + 1] = worker
end
return answer
