-- Dead letters become messages of their queue again: in one step, so none is lost or doubled.
-- KEYS: namespace. ARGV: queue, then for each: its id among the dead letters, the new message's id,
-- the new message. Answer: how many were still there.
local queue = KEYS[1] .. ":" .. ARGV[1]
local revived = 0
for i = 2, #ARGV, 3 do
    if redis.call("zrem", queue .. ".XQ", ARGV[i]) == 1 then
        redis.call("hdel", queue .. ".XQ.msgs", ARGV[i])
        redis.call("hset", queue .. ".msgs", ARGV[i + 1], ARGV[i + 2])
        redis.call("rpush", queue, ARGV[i + 1])
        if redis.call("llen", queue .. ".wake") < 32 then
            redis.call("rpush", queue .. ".wake", "1")
        end
        revived = revived + 1
    end
end
return revived
