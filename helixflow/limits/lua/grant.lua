-- Books ends, then gives each group what it asks for: all of it, or nothing where one need is not
-- met.

if not meet() then return false end
local marker = mark()
local counters = read_windows(marker)
read_ended()

-- Windows. A decision is {met, amount, life_s}.

-- Where the holder's lease of that number lives: its first place.
local function living(counter, lease)
  local leases = counter.leases
  for i = 1, #leases, 5 do
    if leases[i + 1] == lease and leases[i] == holder and leases[i + 4] == LIVE then return i end
  end
end

local function decide_lease(counter, ask)
  local _, limit, lease, need, want, _, life_s, _, waiting, renews = unpack(ask)
  if lease == 0 and renews == 0 then return {true, 0, 0} end
  local left = left_of(counter, limit)
  local is_far = left > 0 and left >= limit / far
  if renews > 0 then
    local place = living(counter, renews)
    if not place or not is_far then return {true, 0, 0} end
    return {true, counter.leases[place + 2], math.min(life_s, far_s)}
  end
  if need > math.max(left, 0) then return {false, 0, 0} end
  if need == 0 and not is_far then return {true, 0, 0} end
  local amount = math.max(need, math.min(waiting, left), math.min(want, math.floor(left / share)))
  return {true, amount, math.min(life_s, is_far and far_s or near_s)}
end

local function begin(counter, lease, amount, life_s)
  local leases = counter.leases
  local n = #leases
  leases[n + 1], leases[n + 2], leases[n + 3] = holder, lease, amount
  leases[n + 4], leases[n + 5] = now + life_s + margin_s, LIVE
  counter.changed = true
end

local function renew(counter, lease, life_s)
  local until_place = living(counter, lease) + 3
  counter.leases[until_place] = math.max(counter.leases[until_place], now + life_s + margin_s)
  counter.changed = true
end

-- In how many seconds a need that is not met can be, at the earliest: slots leave the window, and
-- whoever holds a lease brings back what it does not use when it is recalled, at the latest when it
-- ends.
local function lease_retry_s(counter, need, limit)
  if counter.unknown_until > now then return counter.unknown_until - now end
  if need > limit then return leaves_s(counter, counter.slot) end
  local lacking, wait_s = need - left_of(counter, limit), nil
  for i = 1, #counter.slots, 2 do
    lacking = lacking - counter.slots[i + 1]
    if lacking <= 0 then
      wait_s = leaves_s(counter, counter.slots[i])
      break
    end
  end
  for i = 1, #counter.leases, 5 do
    if counter.leases[i + 4] == LIVE then
      local end_s = math.min(counter.leases[i + 3] - now, recall_s)
      wait_s = math.min(wait_s or end_s, end_s)
    end
  end
  return math.max(SOON_S, wait_s or 0)
end

-- Levels.

local function read_levels(key)
  local blob = redis.call('GET', key)
  local levels = blob and cmsgpack.unpack(blob) or {}
  local total, mine = 0, 0
  for i = 1, #levels, 2 do
    total = total + levels[i + 1]
    if levels[i] == holder then mine = levels[i + 1] end
  end
  return {levels = levels, total = total, mine = mine, before = mine,
    unknown_until = unknown_until(marker, 0, 0)}
end

local function decide_level(counter, ask)
  local _, limit, _, need, want, used, _, _, waiting = unpack(ask)
  if counter.unknown_until > now then return {need <= used, used, 0} end
  local free = math.max(0, limit - counter.total + counter.mine)
  local floor = math.max(need, used, math.min(waiting, free))
  if need > free then return {false, 0, 0} end
  if floor >= free then return {true, free, 0} end
  local more = math.min(math.max(0, want - floor), math.floor((free - floor) / share))
  return {true, floor + more, 0}
end

local function state(counter, granted, ask)
  local level = math.max(granted, ask[6], math.min(counter.mine, ask[5]))
  counter.total, counter.mine = counter.total + level - counter.mine, level
end

local function write_levels(key, counter)
  local levels, level = {}, counter.mine
  if level == counter.before then
    if level > 0 then
      redis.call('PEXPIRE', key, LEVEL_TTL_MS)
      redis.call('PEXPIRE', KEYS[5], LEVEL_TTL_MS)
    end
    return
  end
  for i = 1, #counter.levels, 2 do
    if counter.levels[i] ~= holder then
      levels[#levels + 1], levels[#levels + 2] = counter.levels[i], counter.levels[i + 1]
    end
  end
  if level > 0 then
    levels[#levels + 1], levels[#levels + 2] = holder, level
    redis.call('SADD', KEYS[5], key)
    redis.call('PEXPIRE', KEYS[5], LEVEL_TTL_MS)
  else
    redis.call('SREM', KEYS[5], key)
  end
  if #levels > 0 then
    redis.call('SET', key, cmsgpack.pack(levels), 'PX', LEVEL_TTL_MS)
  else
    redis.call('DEL', key)
  end
end

-- Recalls: of a counter whose need is not met, whoever else has something of it.

local recalls, recalled = {}, {}

local function recall_from(place, other)
  local pair = place .. ' ' .. other
  if other == holder or recalled[pair] then return end
  recalled[pair] = true
  recalls[#recalls + 1] = {place, other}
end

local function recall(ask)
  local counter = counters[ask[1]]
  if ask[4] > ask[2] or counter.unknown_until > now then return end
  if counter.levels then
    for i = 1, #counter.levels, 2 do recall_from(ask[1], counter.levels[i]) end
    return
  end
  for i = 1, #counter.leases, 5 do
    if counter.leases[i + 4] == LIVE then recall_from(ask[1], counter.leases[i]) end
  end
end

-- Groups.

local function decide(ask)
  local counter = counters[ask[1]]
  if counter.levels then return decide_level(counter, ask) end
  return decide_lease(counter, ask)
end

local function tell(ask, met, amount, life_s)
  local counter, retry_s = counters[ask[1]], 0
  if counter.levels then
    local blocked_s = math.max(0, counter.unknown_until - now)
    if not met then retry_s = math.max(LEVEL_RETRY_S, blocked_s) end
    local left = blocked_s > 0 and 0 or math.max(0, ask[2] - counter.total)
    return {amount, 0, left, blocked_s, retry_s}
  end
  local left, reset_s = left_of(counter, ask[2])
  if not met then retry_s = lease_retry_s(counter, ask[4], ask[2]) end
  return {amount, life_s, math.max(0, left), reset_s, retry_s}
end

local function exchange(group)
  settle_group(group, counters)
  local decisions, met, grants = {}, true, {}
  for a, ask in ipairs(group) do
    decisions[a] = decide(ask)
    met = met and decisions[a][1]
  end
  for a, ask in ipairs(group) do
    local counter, amount, life_s = counters[ask[1]], decisions[a][2], decisions[a][3]
    if not met then amount, life_s = 0, 0 end
    if counter.levels then
      state(counter, amount, ask)
    elseif amount > 0 and ask[10] > 0 then
      renew(counter, ask[10], life_s)
    elseif amount > 0 then
      begin(counter, ask[3], amount, life_s)
    end
  end
  for a, ask in ipairs(group) do
    local own, amount, life_s = unpack(decisions[a])
    if not own then recall(ask) end
    if not met then amount, life_s = 0, 0 end
    grants[a] = tell(ask, own, amount, life_s)
  end
  return grants
end

for i, slot_s in ipairs(slots_s) do
  if slot_s == 0 then counters[i] = read_levels(KEYS[FIRST + i]) end
end
local grants = {}
for g, group in ipairs(groups) do grants[g] = exchange(group) end
for i, slot_s in ipairs(slots_s) do
  if slot_s == 0 then write_levels(KEYS[FIRST + i], counters[i]) end
end
return answer(marker, counters, grants, recalls)
