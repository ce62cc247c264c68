-- Give back messages that this worker was given and did not begin; they keep their turn.
-- KEYS: namespace. ARGV: queue, worker, message ids.
local queue = KEYS[1] .. ":" .. ARGV[1]
local held = KEYS[1] .. ":__acks__." .. ARGV[2] .. "." .. ARGV[1]
for i = #ARGV, 3, -1 do
    if redis.call("srem", held, ARGV[i]) == 1
        and redis.call("hexists", queue .. ".msgs", ARGV[i]) == 1 then
        redis.call("lpush", queue, ARGV[i])
        redis.call("hincrby", queue .. ".deliveries", ARGV[i], -1)
        redis.call("rpush", queue .. ".wake", "1")
    end
end
