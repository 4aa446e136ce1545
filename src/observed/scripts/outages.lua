-- Opens and closes outages of gateways, and records each in the history. A trunkd that repeats what
-- another one did changes nothing: only an outage that is not open can be opened, only the open one
-- can be closed, and both only if the row says so.
-- ARGV from 5: the switch's outages hash, the history, its maximum of entries, their maximum age in
-- ms, the maximum per gateway; then seven per item:
--   'O' open | 'C' close | 'D' drop without an entry, the gateway, the stream of its history (or ''),
--     the entry, the id of the outage to close or drop, since when it is out (ms), why
-- Returns two per item: '1' if an entry was recorded, and what is known of the gateway now (or '').
local outages, history, entries, age_ms, per_gateway = ARGV[5], ARGV[6], ARGV[7], ARGV[8], ARGV[9]
-- A gateway that flaps must not push everything else out of the history.
local MAX_PER_HOUR, HOUR_MS = 20, 3600000
for key, expected in pairs({[outages] = 'hash', [history] = 'stream'}) do
  local wrong = wrong_kind(key, expected)
  if wrong then return wrong end
end
local now_ms = math.floor(now_us() / 1000)

local function read(gateway)
  local ok, value = pcall(cjson.decode, redis.call('HGET', outages, gateway) or '')
  if not ok or type(value) ~= 'table' then value = {} end
  local recent = {}
  for _, at in ipairs(type(value.recent) == 'table' and value.recent or {}) do
    if type(at) == 'number' and now_ms - at < HOUR_MS then recent[#recent + 1] = at end
  end
  return type(value.open) == 'table' and value.open or nil, recent
end

local function write(gateway, open, recent)
  if not open and #recent == 0 then
    redis.call('HDEL', outages, gateway)
    return ''
  end
  -- An empty table would become an object.
  local json = cjson.encode({open = open, recent = #recent > 0 and recent or nil})
  redis.call('HSET', outages, gateway, json)
  return json
end

-- A quote inside of a string is escaped, so this finds fields only.
local function row_says(gateway, ...)
  local row = redis.call('HGET', status, gateway)
  if not row or string.find(row, '"stale":true', 1, true) then return false end
  for _, one_of in ipairs({...}) do
    local found = false
    for _, field in ipairs(one_of) do found = found or string.find(row, field, 1, true) ~= nil end
    if not found then return false end
  end
  return true
end

local answer = {}
for i = 10, #ARGV, 7 do
  local op, gateway, of_gateway, entry, id = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4]
  local open, recent = read(gateway)
  local recorded = '0'
  if op == 'O' then
    if not open and #recent < MAX_PER_HOUR and row_says(gateway, {'"usable":false'}) then
      id = record(history, of_gateway, entry, '', entries, age_ms, per_gateway)
      recorded, recent[#recent + 1] = '1', now_ms
      open = {id = id, since_ms = tonumber(ARGV[i + 5]), reason = ARGV[i + 6]}
    end
  elseif open and open.id == id then
    if op == 'D' and not row_says(gateway, {'"usable":false'}) then
      open = nil
    elseif op == 'C' and row_says(gateway, {'"usable":true'}, {'"state":"REGED"', '"state":"NOREG"'}) then
      record(history, of_gateway, entry, '', entries, age_ms, per_gateway)
      recorded, open = '1', nil
    end
  end
  answer[#answer + 1] = recorded
  answer[#answer + 1] = write(gateway, open, recent)
end
return answer
