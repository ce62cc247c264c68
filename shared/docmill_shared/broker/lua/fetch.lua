-- Say that this worker lives, recover what dead workers held, hand out up to `count` messages.
-- KEYS: namespace. ARGV: queue, worker, count, heartbeat timeout (ms), dead message TTL (ms),
-- most deliveries of a message (0: no limit).
local namespace, worker, count = KEYS[1], ARGV[2], tonumber(ARGV[3])
local queue, limit = namespace .. ":" .. ARGV[1], tonumber(ARGV[6])
local heartbeats = namespace .. ":__heartbeats__"
local clock = redis.call("time")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function canonical(name)
    if string.sub(name, -3) == ".DQ" then return string.sub(name, 1, -4) end
    return name
end
local dead_letters = namespace .. ":" .. canonical(ARGV[1]) .. ".XQ"

-- Every queue that was ever consumed: a dead worker is forgotten by whoever notices it first, who
-- need not consume what it held.
local queues = namespace .. ":__queues__"
redis.call("sadd", queues, ARGV[1])
redis.call("zadd", heartbeats, now, worker)
for _, dead in ipairs(redis.call("zrangebyscore", heartbeats, 0, now - ARGV[4])) do
    for _, name in ipairs(redis.call("smembers", queues)) do
        local held = namespace .. ":__acks__." .. dead .. "." .. name
        for _, id in ipairs(redis.call("smembers", held)) do
            if redis.call("hexists", namespace .. ":" .. name .. ".msgs", id) == 1 then
                redis.call("lpush", namespace .. ":" .. name, id)
                redis.call("rpush", namespace .. ":" .. name .. ".wake", "1")
            end
        end
        redis.call("del", held)
    end
    redis.call("zrem", heartbeats, dead)
end

for _, id in ipairs(redis.call("zrangebyscore", dead_letters, 0, now - ARGV[5], "limit", 0, 100)) do
    redis.call("zrem", dead_letters, id)
    redis.call("hdel", dead_letters .. ".msgs", id)
end

-- Paused by an operator. The tokens go too, or each would be one vain turn of an idle consumer.
if redis.call("exists", queue .. ".paused") == 1 then
    redis.call("del", queue .. ".wake")
    count = 0
end

local messages = {} -- id, message, id, message, ...
while #messages < 2 * count do
    local id = redis.call("lpop", queue)
    if not id then
        redis.call("del", queue .. ".wake")
        break
    end
    local message = redis.call("hget", queue .. ".msgs", id)
    if message then
        if limit > 0 and redis.call("hincrby", queue .. ".deliveries", id, 1) > limit then
            redis.call("zadd", dead_letters, now, id)
            redis.call("hset", dead_letters .. ".msgs", id, message)
            redis.call("hdel", queue .. ".msgs", id)
            redis.call("hdel", queue .. ".deliveries", id)
        else
            redis.call("sadd", namespace .. ":__acks__." .. worker .. "." .. ARGV[1], id)
            messages[#messages + 1] = id
            messages[#messages + 1] = message
        end
    end
end
return messages
