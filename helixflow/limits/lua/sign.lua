-- A sign of life, and the organizations in which the holder may have levels. Returns what it is to
-- be told of, which is forgotten with that.
--
--   KEYS[1]  all holders, by their last sign of life
--   KEYS[2]  the organizations of this one
--   KEYS[3]  the keys of the counters of which others need what it does not use
--   ARGV     offset_s, holder, organizations

local TTL_MS = 62 * 86400 * 1000

local time = redis.call('TIME')
redis.call('ZADD', KEYS[1], time[1] + time[2] / 1000000 + tonumber(ARGV[1]), ARGV[2])
redis.call('PEXPIRE', KEYS[1], TTL_MS)
if #ARGV > 2 then redis.call('SADD', KEYS[2], unpack(ARGV, 3)) end
redis.call('PEXPIRE', KEYS[2], TTL_MS)
local recalled = redis.call('SMEMBERS', KEYS[3])
if #recalled > 0 then redis.call('DEL', KEYS[3]) end
return recalled
