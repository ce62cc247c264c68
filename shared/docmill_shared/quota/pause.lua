-- Let a pause hold for so long, unless a longer one does.
-- KEYS: prefix. ARGV: milliseconds.
if redis.call("pttl", KEYS[1] .. ":pause") < tonumber(ARGV[1]) then
    redis.call("set", KEYS[1] .. ":pause", "1", "px", ARGV[1])
end
