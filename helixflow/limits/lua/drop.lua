-- Takes a holder off the list, unless it gave a sign of life meanwhile.
--
--   KEYS[1]  all holders, by their last sign of life
--   KEYS[2]  the organizations of this one
--   ARGV     holder, its last sign of life as it is known

local score = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not score or tonumber(score) ~= tonumber(ARGV[2]) then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2])
return 1
