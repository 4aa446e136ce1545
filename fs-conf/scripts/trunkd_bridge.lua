-- Dials a number over a gateway that runs on exactly one switch, whichever that is:
--
--   <action application="lua" data="trunkd_bridge.lua GATEWAY NUMBER"/>
--
-- Needs mod_lua and mod_hiredis; fs-conf/README.md says how to set it up, and what the owner's dialplan needs.
-- Runs on Lua 5.1 to 5.4.

-- The profile of hiredis.conf.xml. Its `timeout_ms` is how long a call waits for Redis.
local REDIS = "trunkd"
-- The SIP profile that calls to the other switches leave by.
local PROFILE = "external"
-- How long an answer of Redis is used again.
local CACHE_SECONDS = 3
-- Tells the owner which gateway is meant. A call that has it was handed on once and is never handed on again.
local HEADER = "sip_h_X-Trunkd-Gateway"

local api = freeswitch.API()

local function log(level, text)
  freeswitch.consoleLog(level, "trunkd_bridge: " .. text .. "\n")
end

-- A field of one of trunkd's hashes; nil if there is none, or Redis is away.
local function field(hash, name)
  local reply = api:execute("hiredis_raw", REDIS .. " HGET " .. hash .. " " .. name) or ""
  reply = reply:gsub("%s+$", "")
  if reply == "" or reply:find("^%-ERR") then
    return nil
  end
  return reply
end

local function is_redis_there()
  return (api:execute("hiredis_raw", REDIS .. " PING") or ""):find("PONG", 1, true) ~= nil
end

-- Which switch has the gateway, and where that answers SIP; nil if nobody has it.
local function ask(gateway)
  local placed = field("trunkd:placement", gateway)
  local owner = placed and placed:match('"switch"%s*:%s*"([%w%._%-]+)"')
  if not owner then
    return nil
  end
  return owner, field("trunkd:sip", owner) or ""
end

-- The same, from a global variable while that is young; from an old one only while Redis is away.
local function find(gateway)
  local key = "trunkd_owner_" .. gateway
  local at, owner, address = (freeswitch.getGlobalVariable(key) or ""):match("^(%d+) (%S+) (%S*)$")
  if at and os.time() - tonumber(at) < CACHE_SECONDS then
    return owner, address
  end
  local new_owner, new_address = ask(gateway)
  if new_owner then
    freeswitch.setGlobalVariable(key, os.time() .. " " .. new_owner .. " " .. new_address)
    return new_owner, new_address
  end
  if is_redis_there() then
    return nil, nil, "no switch has gateway " .. gateway
  end
  if owner then
    log("WARNING", "Redis does not answer; gateway " .. gateway .. " was last on " .. owner)
    return owner, address
  end
  return nil, nil, "Redis does not answer, and nobody here has dialed over gateway " .. gateway .. " before"
end

local function refuse(cause, text)
  log("ERR", text)
  session:hangup(cause)
end

-- Both become part of commands and dial strings.
local function is_plain(text)
  return text ~= nil and text:find("^[%w%._%-%+%*#]+$") ~= nil
end

local function main(gateway, number)
  if not is_plain(gateway) or not is_plain(number) then
    return refuse("INVALID_NUMBER_FORMAT", "usage: trunkd_bridge.lua GATEWAY NUMBER, of letters, digits and ._-+*#")
  end
  local owner, address, problem = find(gateway)
  if not owner then
    return refuse("NO_ROUTE_DESTINATION", problem)
  end
  local here = (api:execute("switchname", "") or ""):gsub("%s+$", "")
  if owner == here then
    return session:execute("bridge", "sofia/gateway/" .. gateway .. "/" .. number)
  end
  if session:getVariable(HEADER) then
    return refuse("NO_ROUTE_DESTINATION", "gateway " .. gateway .. " is on " .. owner .. " by now, not here")
  end
  if not address or address == "" then
    local text = "nobody knows where " .. owner .. " answers SIP, which has gateway " .. gateway
    return refuse("NO_ROUTE_DESTINATION", text)
  end
  local through = "{" .. HEADER .. "=" .. gateway .. "}sofia/" .. PROFILE .. "/" .. number .. "@" .. address
  return session:execute("bridge", through)
end

main(argv[1], argv[2])
