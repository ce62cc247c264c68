-- A message has been dealt with.
-- KEYS: namespace. ARGV: queue, worker, message id.
local queue = KEYS[1] .. ":" .. ARGV[1]
if redis.call("srem", KEYS[1] .. ":__acks__." .. ARGV[2] .. "." .. ARGV[1], ARGV[3]) == 1 then
    redis.call("hdel", queue .. ".msgs", ARGV[3])
    redis.call("hdel", queue .. ".deliveries", ARGV[3])
end
