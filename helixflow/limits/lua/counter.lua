-- What settle.lua and grant.lua share; it is put before them. The rules are those of ports.py, and
-- the same as in account.py and levels.py. One call takes all groups of an exchange that belong to
-- one organization; all keys carry its hash tag.
--
--   KEYS[1]    the marker: which data this is, on which server, and what may be missing from it
--   KEYS[2]    the holder: its last exchange, and the leases of which it said the last
--   KEYS[3,4]  its ended leases, in turns of TOMBSTONE_S
--   KEYS[5]    the counters in which it has a level
--   KEYS[6..]  the counters of the asks
--   ARGV[1]    MessagePack, see redis_wire.py
--
-- A counter with a window is three values: {slot, amount, ...} (oldest first), {holder, lease,
-- amount, until, booked_in, ...} (booked_in is LIVE until a lease ends by its time), and for which
-- loss its past is known. A counter of levels is one: {holder, level, ...}. An ended lease is four:
-- the slot and the amount booked there, the slot and the amount of its debt. Times are seconds of
-- the server's clock. Numbers are exact to 2^53.

local FIRST = 5
local SLOTS = 60
local LIVE = -1
local TOMBSTONE_S = 900
local ENDED_MAX = 65536
local SOON_S = 0.05
local LEVEL_RETRY_S = 1
local SHAKEN_WINDOW_S = 60
local ROLLED_BACK_S = 5
local LEVEL_TTL_MS = 7 * 86400 * 1000
local MARKER_TTL_MS = 62 * 86400 * 1000

local offset_s, holder, number, acked, seen, seen_at, offered, sizing, slots_s, groups =
  unpack(cmsgpack.unpack(ARGV[1]))
local share, far, near_s, far_s, margin_s, recall_s = unpack(sizing)
local time = redis.call('TIME')
local now = time[1] + time[2] / 1000000 + offset_s

-- The marker.

local function field(info, name)
  local _, before = string.find(info, name, 1, true)
  return string.sub(info, before + 1, before + 40)
end

-- A process and its replication history make a lineage. Another one that goes on with the data (after
-- a restart, or a promotion) may lack the newest of it: it is shaken. Data that this store knows to
-- have been there, or to have been newer by more than a moment, is lost.
local function mark()
  local info = redis.call('INFO', 'server', 'replication')
  local run, history = field(info, '\nrun_id:'), field(info, '\nmaster_replid:')
  local generation, lost_at, shaken_at = offered, 0, 0
  local blob = redis.call('GET', KEYS[1])
  if blob then
    local known_run, known_history, written_at
    generation, known_run, known_history, lost_at, shaken_at, written_at = cmsgpack.unpack(blob)
    local promoted = known_history ~= history
      and string.find(field(info, '\nmaster_replid2:'), '[^0]') ~= nil
    if known_run ~= run or promoted then
      shaken_at = now
      if seen == generation and seen_at > written_at + ROLLED_BACK_S then lost_at = now end
    end
    if seen ~= '' and seen ~= generation and lost_at == 0 then lost_at = now end
  elseif seen ~= '' then
    lost_at = now
  end
  redis.call('SET', KEYS[1],
    cmsgpack.pack(generation, run, history, lost_at, shaken_at, now), 'PX', MARKER_TTL_MS)
  return {generation = generation, lost_at = lost_at, shaken_at = shaken_at}
end

-- The holder's ended leases.

local turn = math.floor(now / TOMBSTONE_S)
local ended_key, old_ended_key = KEYS[3 + turn % 2], KEYS[4 - turn % 2]
local ended, ended_now = {}, {}

local function forget_ended(leases)
  for first = 1, #leases, 1000 do
    local some = {unpack(leases, first, math.min(first + 999, #leases))}
    redis.call('HDEL', ended_key, unpack(some))
    redis.call('HDEL', old_ended_key, unpack(some))
  end
end

local function read_ended()
  local leases = {}
  for _, group in ipairs(groups) do
    for _, ask in ipairs(group) do
      for i = 1, #ask[8], 3 do leases[#leases + 1] = ask[8][i] end
    end
  end
  if #leases == 0 then return end
  if redis.call('HGET', ended_key, 'turn') ~= tostring(turn) then
    redis.call('DEL', ended_key)
    if redis.call('HGET', old_ended_key, 'turn') ~= tostring(turn - 1) then
      redis.call('DEL', old_ended_key)
    end
  elseif redis.call('HLEN', ended_key) > ENDED_MAX then
    redis.call('RENAME', ended_key, old_ended_key)
  end
  for first = 1, #leases, 1000 do
    local some = {unpack(leases, first, math.min(first + 999, #leases))}
    local young = redis.call('HMGET', ended_key, unpack(some))
    local old = redis.call('HMGET', old_ended_key, unpack(some))
    for i, lease in ipairs(some) do
      local found = young[i] or old[i]
      if found then ended[lease] = {cmsgpack.unpack(found)} end
    end
  end
end

local function write_ended()
  local fields = {}
  for lease in pairs(ended_now) do
    fields[#fields + 1] = lease
    fields[#fields + 1] = cmsgpack.pack(unpack(ended[lease]))
  end
  for first = 1, #fields, 1000 do
    redis.call('HSET', ended_key, 'turn', turn,
      unpack(fields, first, math.min(first + 999, #fields)))
  end
  if #fields > 0 then redis.call('PEXPIRE', ended_key, 2 * TOMBSTONE_S * 1000) end
end

-- The holder. An exchange that a later one has overtaken is passed over.

local last_number, last_words = 0, {}

local function meet()
  local known = 0
  local blob = redis.call('GET', KEYS[2])
  if blob then known, last_number, last_words = cmsgpack.unpack(blob) end
  if number <= known then return false end
  if #last_words > 0 and acked >= last_number then
    forget_ended(last_words)
    last_words = {}
  end
  return true
end

local function remember()
  redis.call('SET', KEYS[2], cmsgpack.pack(number, last_number, last_words),
    'PX', 2 * TOMBSTONE_S * 1000)
end

-- Counters with a window.

-- Adds to a slot, or takes from it. Nothing happens to a slot that has left the window.
local function book(counter, slot, amount)
  local slots = counter.slots
  if amount == 0 or slot < counter.slot - SLOTS then return end
  local i = #slots - 1
  while i >= 1 and slots[i] > slot do i = i - 2 end
  if i >= 1 and slots[i] == slot then
    amount = slots[i + 1] + amount
    if amount > 0 then
      slots[i + 1] = amount
    else
      table.remove(slots, i)
      table.remove(slots, i)
    end
  elseif amount > 0 then
    table.insert(slots, i + 2, slot)
    table.insert(slots, i + 3, amount)
  end
  counter.changed = true
end

-- Books leases whose time is over, whole, and forgets those of which nobody said more.
local function expire(counter)
  local leases, kept = counter.leases, {}
  for i = 1, #leases, 5 do
    local ends_at = leases[i + 3]
    if leases[i + 4] == LIVE and ends_at <= now then
      leases[i + 4] = math.floor(ends_at / counter.slot_s)
      book(counter, leases[i + 4], leases[i + 2])
      counter.changed = true
    end
    if leases[i + 4] == LIVE or ends_at + TOMBSTONE_S > now then
      for j = i, i + 4 do kept[#kept + 1] = leases[j] end
    end
  end
  counter.leases = kept
end

local function read_window(key, slot_s)
  local slots, leases, known = {}, {}, 0
  local blob = redis.call('GET', key)
  if blob then slots, leases, known = cmsgpack.unpack(blob) end
  -- Where the server's clock was set back, the newest slot runs until the clock is there again.
  local slot = math.max(math.floor(now / slot_s), slots[#slots - 1] or 0)
  local first = 1
  while slots[first] and slots[first] < slot - SLOTS do first = first + 2 end
  if first > 1 then slots = {unpack(slots, first)} end
  local counter = {slots = slots, leases = leases, known = known, slot = slot, slot_s = slot_s}
  expire(counter)
  return counter
end

local function write_window(key, counter)
  if not counter.changed then return end
  if #counter.slots == 0 and #counter.leases == 0 and counter.known == 0 then
    redis.call('DEL', key)
  else
    redis.call('SET', key, cmsgpack.pack(counter.slots, counter.leases, counter.known),
      'PX', math.ceil((SLOTS + 2) * counter.slot_s + 2 * TOMBSTONE_S) * 1000)
  end
end

-- Brings what is booked for an ended lease to what was spent of it.
local function correct(counter, one, spent)
  local more = spent - one[2] - one[4]
  if more > 0 then
    book(counter, one[3], -one[4])
    one[3], one[4] = counter.slot, one[4] + more
    book(counter, one[3], one[4])
  else
    local back = math.min(-more, one[4])
    book(counter, one[3], -back)
    one[4] = one[4] - back
    back = -more - back
    book(counter, one[1], -back)
    one[2] = one[2] - back
  end
end

local function settle(counter, lease, spent)
  local leases, place = counter.leases, nil
  for i = 1, #leases, 5 do
    if leases[i + 1] == lease and leases[i] == holder then place = i end
  end
  local one = ended[lease]
  if place then
    if leases[place + 4] == LIVE then
      one = {counter.slot, spent, 0, 0}
      book(counter, counter.slot, spent)
    else
      one = {leases[place + 4], leases[place + 2], 0, 0}
    end
    for _ = 1, 5 do table.remove(leases, place) end
    counter.changed = true
  elseif not one then
    if spent == 0 then return end
    one = {counter.slot, 0, 0, 0}
  end
  correct(counter, one, spent)
  ended[lease], ended_now[lease] = one, true
end

local function settle_group(group, counters)
  for _, ask in ipairs(group) do
    for i = 1, #ask[8], 3 do
      settle(counters[ask[1]], ask[8][i], ask[8][i + 1])
      if ask[8][i + 2] then
        last_words[#last_words + 1] = ask[8][i]
        last_number = number
      end
    end
  end
end

-- Until when a counter counts as full, because grants of before may be missing from it.
local function unknown_until(marker, window_s, known)
  local until_s = 0
  if marker.lost_at > 0 and known ~= marker.lost_at then
    until_s = marker.lost_at + far_s + margin_s + window_s
  end
  if marker.shaken_at > 0 and window_s <= SHAKEN_WINDOW_S then
    until_s = math.max(until_s, marker.shaken_at + far_s + margin_s + window_s)
  end
  return until_s
end

local function leaves_s(counter, slot)
  return math.max(0, (slot + SLOTS + 1) * counter.slot_s - now)
end

-- What of a limit is left, below 0 where there is debt; and in how many seconds all of it is free.
local function left_of(counter, limit)
  local used, reset_s = 0, 0
  local slots, leases = counter.slots, counter.leases
  for i = 2, #slots, 2 do used = used + slots[i] end
  if #slots > 0 then reset_s = leaves_s(counter, slots[#slots - 1]) end
  for i = 1, #leases, 5 do
    if leases[i + 4] == LIVE then
      used = used + leases[i + 2]
      reset_s = math.max(reset_s, leaves_s(counter, math.floor(leases[i + 3] / counter.slot_s)))
    end
  end
  if counter.unknown_until > now then
    return 0, math.max(reset_s, counter.unknown_until - now)
  end
  return limit - used, reset_s
end

local function read_windows(marker)
  local counters = {}
  for i, slot_s in ipairs(slots_s) do
    if slot_s > 0 then
      local counter = read_window(KEYS[FIRST + i], slot_s)
      counter.unknown_until = unknown_until(marker, slot_s * SLOTS, counter.known)
      counters[i] = counter
    end
  end
  return counters
end

-- The answer: {generation, now, when it was lost, counters whose past is wanted, grants by group,
-- counters to recall and from whom}; a grant is {amount, life_s, remaining, reset_s, retry_after_s}.
local function answer(marker, counters, grants, recalls)
  local wanted = {}
  for i, slot_s in ipairs(slots_s) do
    if slot_s > 0 then
      write_window(KEYS[FIRST + i], counters[i])
      if marker.lost_at > 0 and counters[i].known ~= marker.lost_at
        and now >= marker.lost_at + far_s + margin_s and now < counters[i].unknown_until then
        wanted[#wanted + 1] = i
      end
    end
  end
  write_ended()
  remember()
  return cmsgpack.pack({marker.generation, now, marker.lost_at, wanted, grants, recalls or {}})
end
