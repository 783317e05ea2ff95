-- Frees a holder's levels in counters of one organization.
--
--   KEYS[1]    the counters in which this holder has a level
--   KEYS[2..]  some of those
--   ARGV[1]    the holder

local LEVEL_TTL_MS = 7 * 86400 * 1000

for k = 2, #KEYS do
  local blob = redis.call('GET', KEYS[k])
  local levels, kept = blob and cmsgpack.unpack(blob) or {}, {}
  for i = 1, #levels, 2 do
    if levels[i] ~= ARGV[1] then
      kept[#kept + 1], kept[#kept + 2] = levels[i], levels[i + 1]
    end
  end
  if #kept > 0 then
    redis.call('SET', KEYS[k], cmsgpack.pack(kept), 'PX', LEVEL_TTL_MS)
  else
    redis.call('DEL', KEYS[k])
  end
  redis.call('SREM', KEYS[1], KEYS[k])
end
return #KEYS - 1
