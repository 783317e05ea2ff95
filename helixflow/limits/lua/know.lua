-- Books what a counter used before its data was lost. What counts already is not counted twice: a
-- slot holds the larger of the two.
--
--   KEYS[1]  the marker
--   KEYS[2]  the counter
--   ARGV[1]  MessagePack: {offset_s, slot_s, when it was lost, {age in seconds, amount, ...}}

local SLOTS = 60

local offset_s, slot_s, lost_at, uses = unpack(cmsgpack.unpack(ARGV[1]))
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000 + offset_s

local marker = redis.call('GET', KEYS[1])
if not marker then return 0 end
local _, _, _, marked_at = cmsgpack.unpack(marker)
if marked_at ~= lost_at then return 0 end

local slots, leases, known = {}, {}, 0
local blob = redis.call('GET', KEYS[2])
if blob then slots, leases, known = cmsgpack.unpack(blob) end
if known == lost_at then return 0 end

local past, here = {}, {}
for i = 1, #uses, 2 do
  local slot = math.floor((now - math.max(0, uses[i])) / slot_s)
  past[slot] = (past[slot] or 0) + uses[i + 1]
end
for i = 1, #slots, 2 do here[slots[i]] = slots[i + 1] end
for slot, amount in pairs(past) do here[slot] = math.max(here[slot] or 0, amount) end

local order, merged = {}, {}
for slot in pairs(here) do order[#order + 1] = slot end
table.sort(order)
for i = math.max(1, #order - SLOTS), #order do
  if here[order[i]] > 0 then
    merged[#merged + 1], merged[#merged + 2] = order[i], here[order[i]]
  end
end
redis.call('SET', KEYS[2], cmsgpack.pack(merged, leases, lost_at),
  'PX', math.ceil((SLOTS + 2) * slot_s + 1800) * 1000)
return 1
