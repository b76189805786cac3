/** Scripts of version 0.4, as a process that has not been updated sends them to the server. Their text is not to be changed. */
export const claim = `
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local function int(n) return string.format('%.0f', n) end
local function read(key)
  return redis.call('HMGET', key, 'kind', 'format', 'owner', 'holds', 'token', 'version', 'began', 'expires', 'data', 'label')
end
local function has(holds, hold)
  return string.find(holds .. ',', ',' .. hold .. ',', 1, true)
end
local function live(r)
  return r[4] ~= '' and tonumber(r[8]) > now
end
local function newer(r)
  return r[2] and tonumber(r[2]) > 1
end
local function keepOrFree(key)
  redis.pcall('PERSIST', key)
end
local function wake(channel, id)
  if channel == '' then return '' end
  local told = redis.pcall('PUBLISH', channel, id)
  return type(told) == 'table' and told.err or ''
end
local function unreadable(key, r)
  if newer(r) then return {'newer', r[2]} end
  if not r[2] and redis.call('EXISTS', key) == 1 then return {'foreign'} end
end

local function claim(key, owner, hold, lease, touch, label)
  local r = read(key)
  local bad = unreadable(key, r)
  if bad then return bad end
  local expires = now + lease
  if not r[2] or not live(r) then
    local token, version = math.max(1, now), math.max(1, now)
    if r[2] then
      token = math.max(r[5] + 1, now)
      version = r[6] + 1
    end
    r = {'exclusive', '1', owner, ',' .. hold, int(token), int(version), int(now), int(expires), '', label}
    redis.call('HSET', key, 'kind', r[1], 'format', r[2], 'owner', r[3], 'holds', r[4], 'token', r[5], 'version', r[6], 'began', r[7], 'expires', r[8], 'data', r[9], 'label', r[10])
    return {'claimed', int(now), unpack(r)}
  end
  if r[3] ~= owner or r[1] ~= 'exclusive' then return {'held', int(now), unpack(r)} end
  if not has(r[4], hold) then
    r[4] = r[4] .. ',' .. hold
    r[6] = int(r[6] + 1)
    r[8] = int(math.max(tonumber(r[8]), expires))
    redis.call('HSET', key, 'holds', r[4], 'version', r[6], 'expires', r[8])
  elseif touch == '1' then
    redis.call('HSET', key, 'version', r[6])
  end
  return {'claimed', int(now), unpack(r)}
end
return claim(KEYS[1], unpack(ARGV))`

export const release = `
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local function int(n) return string.format('%.0f', n) end
local function read(key)
  return redis.call('HMGET', key, 'kind', 'format', 'owner', 'holds', 'token', 'version', 'began', 'expires', 'data', 'label')
end
local function has(holds, hold)
  return string.find(holds .. ',', ',' .. hold .. ',', 1, true)
end
local function live(r)
  return r[4] ~= '' and tonumber(r[8]) > now
end
local function newer(r)
  return r[2] and tonumber(r[2]) > 1
end
local function keepOrFree(key)
  redis.pcall('PERSIST', key)
end
local function wake(channel, id)
  if channel == '' then return '' end
  local told = redis.pcall('PUBLISH', channel, id)
  return type(told) == 'table' and told.err or ''
end
local function unreadable(key, r)
  if newer(r) then return {'newer', r[2]} end
  if not r[2] and redis.call('EXISTS', key) == 1 then return {'foreign'} end
end

local function release(key, hold, channel, id)
  local r = read(key)
  local bad = unreadable(key, r)
  if bad then return bad end
  if not r[2] then return {'none'} end
  local from, to = has(r[4], hold)
  if not from then return {'none'} end
  local holds = string.sub(r[4], 1, from - 1) .. string.sub(r[4], to)
  keepOrFree(key)
  redis.call('HSET', key, 'holds', holds, 'version', int(r[6] + 1))
  local unheard = ''
  if holds == '' then unheard = wake(channel, id) end
  return {'done', holds, unheard}
end
return release(KEYS[1], unpack(ARGV))`

export const renew = `
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local function int(n) return string.format('%.0f', n) end
local function read(key)
  return redis.call('HMGET', key, 'kind', 'format', 'owner', 'holds', 'token', 'version', 'began', 'expires', 'data', 'label')
end
local function has(holds, hold)
  return string.find(holds .. ',', ',' .. hold .. ',', 1, true)
end
local function live(r)
  return r[4] ~= '' and tonumber(r[8]) > now
end
local function newer(r)
  return r[2] and tonumber(r[2]) > 1
end
local function keepOrFree(key)
  redis.pcall('PERSIST', key)
end
local function wake(channel, id)
  if channel == '' then return '' end
  local told = redis.pcall('PUBLISH', channel, id)
  return type(told) == 'table' and told.err or ''
end
local function unreadable(key, r)
  if newer(r) then return {'newer', r[2]} end
  if not r[2] and redis.call('EXISTS', key) == 1 then return {'foreign'} end
end

local out, kept = {int(now)}, false
for i, key in ipairs(KEYS) do
  local hold, lease = ARGV[2 * i - 1], ARGV[2 * i]
  local r = read(key)
  if newer(r) then
    out[i + 1] = {'newer', r[2]}
  elseif not r[2] then
    out[i + 1] = {'none'}
  elseif not live(r) or not has(r[4], hold) then
    out[i + 1] = {'other', unpack(r)}
  else
    if not kept then keepOrFree(key) end
    kept = true
    local expires = int(math.max(tonumber(r[8]), now + lease))
    redis.call('HSET', key, 'version', int(r[6] + 1), 'expires', expires)
    out[i + 1] = {'renewed', expires}
  end
end
return out
`
