-- Lets a holder be told of counters of which others need what it does not use.
--
--   KEYS[1]  what it is to be told
--   ARGV     the keys of the counters

local MAX = 1024
local TTL_MS = 60 * 1000

if redis.call('SCARD', KEYS[1]) + #ARGV > MAX then return 0 end
redis.call('SADD', KEYS[1], unpack(ARGV))
redis.call('PEXPIRE', KEYS[1], TTL_MS)
return #ARGV
