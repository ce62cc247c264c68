-- Hand out messages of a queue again, and wake as many idle consumers as there is work for.
-- KEYS: namespace. ARGV: queue.
local queue = KEYS[1] .. ":" .. ARGV[1]
if redis.call("del", queue .. ".paused") == 1 then
    for _ = 1, math.min(redis.call("llen", queue), 32) do
        redis.call("rpush", queue .. ".wake", "1")
    end
end
