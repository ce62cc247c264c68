-- Hand out nothing more of a queue; `fetch` looks at this key.
-- KEYS: namespace. ARGV: queue.
local clock = redis.call("time")
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call("setnx", KEYS[1] .. ":" .. ARGV[1] .. ".paused", now)
