-- Holders without a sign of life for some seconds, each with its last one.
--
--   KEYS[1]  all holders, by their last sign of life
--   ARGV     offset_s, seconds

local time = redis.call('TIME')
local before = time[1] + time[2] / 1000000 + tonumber(ARGV[1]) - tonumber(ARGV[2])
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.17g', before), 'WITHSCORES',
  'LIMIT', 0, 1000)
