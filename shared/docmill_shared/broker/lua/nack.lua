-- A message has failed for good: keep it, as it is now (with its traceback), among the dead letters.
-- KEYS: namespace. ARGV: queue, worker, message id, message, queue of the dead letters.
local queue, dead_letters = KEYS[1] .. ":" .. ARGV[1], KEYS[1] .. ":" .. ARGV[5] .. ".XQ"
if redis.call("srem", KEYS[1] .. ":__acks__." .. ARGV[2] .. "." .. ARGV[1], ARGV[3]) == 1 then
    local clock = redis.call("time")
    redis.call("zadd", dead_letters, clock[1] * 1000 + math.floor(clock[2] / 1000), ARGV[3])
    redis.call("hset", dead_letters .. ".msgs", ARGV[3], ARGV[4])
    redis.call("hdel", queue .. ".msgs", ARGV[3])
    redis.call("hdel", queue .. ".deliveries", ARGV[3])
end
