-- Add a message to its queue and wake one idle consumer.
-- KEYS: namespace. ARGV: queue, message id, message.
local queue = KEYS[1] .. ":" .. ARGV[1]
redis.call("hset", queue .. ".msgs", ARGV[2], ARGV[3])
redis.call("rpush", queue, ARGV[2])
-- Busy consumers do not take their tokens; more of them than this would only be idle turns later.
if redis.call("llen", queue .. ".wake") < 32 then
    redis.call("rpush", queue .. ".wake", "1")
end
