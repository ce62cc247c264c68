-- Put back what this worker was given but does not hold: the answer to its fetch was lost.
-- KEYS: namespace. ARGV: queue, worker, ids of the messages that it does hold.
local queue = KEYS[1] .. ":" .. ARGV[1]
local held = KEYS[1] .. ":__acks__." .. ARGV[2] .. "." .. ARGV[1]
local running = {}
for i = 3, #ARGV do
    running[ARGV[i]] = true
end
for _, id in ipairs(redis.call("smembers", held)) do
    if not running[id] then
        redis.call("srem", held, id)
        if redis.call("hexists", queue .. ".msgs", id) == 1 then
            redis.call("lpush", queue, id)
            redis.call("hincrby", queue .. ".deliveries", id, -1)
            redis.call("rpush", queue .. ".wake", "1")
        end
    end
end
