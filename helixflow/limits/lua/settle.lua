-- Books ends, and tells what is left. Nothing is given.

if not meet() then return false end
local marker = mark()
local counters, grants = read_windows(marker), {}
read_ended()
for g, group in ipairs(groups) do
  settle_group(group, counters)
  grants[g] = {}
  for a, ask in ipairs(group) do
    local left, reset_s = left_of(counters[ask[1]], ask[2])
    grants[g][a] = {0, 0, math.max(0, left), reset_s, 0}
  end
end
return answer(marker, counters, grants)
