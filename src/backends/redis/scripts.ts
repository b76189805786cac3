import { createHash } from "node:crypto"
import * as LockRecord from "../../LockRecord.js"

export interface Script {
  readonly text: string
  readonly sha: string
}

/** The fields of a record's hash, in the order in which scripts give and take them. The lock id is in the key. Records of before there were labels have none. */
export const fieldNames = [
  "kind",
  "format",
  "owner",
  "holds",
  "token",
  "version",
  "began",
  "expires",
  "data",
  "label"
] as const

const quoted = fieldNames.map((name) => `'${name}'`).join(", ")

/**
 * Begins every script. One sample of the server's clock, in microseconds. Numbers of Lua are doubles, exact below 2^53; `%.0f` writes all their digits, which
 * `tostring` does not. A script changes a record by one command, and as its last deed but a hint: so one that fails in the middle has changed nothing.
 *
 * A server that has reached `maxmemory` refuses commands that may take more of it, HSET among them, but only as the first write of a script. `keepOrFree` writes first what takes
 * nothing and changes nothing, since no record has an expiry: so holds are renewed and freed by a server that takes no more claims. Without the right to it, it is passed over.
 *
 * A hint that cannot be published harms nothing: the answer tells why, or is empty.
 */
const prelude = `
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local function int(n) return string.format('%.0f', n) end
local function read(key)
  return redis.call('HMGET', key, ${quoted})
end
local function has(holds, hold)
  return string.find(holds .. ',', ',' .. hold .. ',', 1, true)
end
local function live(r)
  return r[4] ~= '' and tonumber(r[8]) > now
end
local function newer(r)
  return r[2] and tonumber(r[2]) > ${LockRecord.format}
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
`

const script = (body: string): Script => {
  const text = prelude + body
  return { text, sha: createHash("sha1").update(text).digest("hex") }
}

const writeAll = (key: string, values: string): string =>
  `redis.call('HSET', ${key}, ${fieldNames.map((name, i) => `'${name}', ${values}[${i + 1}]`).join(", ")})`

/** `touch`: whether to write even what is there already, so that its replication can be waited for. */
const claimOne = `
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
    r = {'${LockRecord.exclusive}', '${LockRecord.format}', owner, ',' .. hold, int(token), int(version), int(now), int(expires), '', label}
    ${writeAll("key", "r")}
    return {'claimed', int(now), unpack(r)}
  end
  if r[3] ~= owner or r[1] ~= '${LockRecord.exclusive}' then return {'held', int(now), unpack(r)} end
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
`

const releaseOne = `
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
`

/** ARGV: owner, hold, lease, `touch`, and the label. */
export const claim = script(`${claimOne}return claim(KEYS[1], unpack(ARGV))`)

/** ARGV: hold, channel, lock id. */
export const release = script(`${releaseOne}return release(KEYS[1], unpack(ARGV))`)

/** How many of ARGV each request of `many` has: what it is, and its own. */
export const stride = 6

/**
 * Claims and releases of any number of locks, each as if it came alone, in this order. One key for each. ARGV: of each, `claim` or `release`, and what that script is given,
 * filled up to `stride`. One that fails has changed nothing, and is answered by `failed`: what comes after it goes on.
 */
export const many = script(`${claimOne}${releaseOne}
local does, out = {claim = claim, release = release}, {}
for i, key in ipairs(KEYS) do
  local at = ${stride} * i - ${stride - 1}
  local ok, answer = pcall(does[ARGV[at]], key, unpack(ARGV, at + 1, at + ${stride - 1}))
  out[i] = ok and answer or {'failed'}
end
return out
`)

/** One key for each request, which may occur several times. ARGV: hold and lease of each. */
export const renew = script(`
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
`)

/** ARGV: token, what takes the place of the holds, channel, lock id, and whether to write even what is there already. */
export const revoke = script(`
local r = read(KEYS[1])
local bad = unreadable(KEYS[1], r)
if bad then return bad end
if not r[2] or not live(r) or r[5] ~= ARGV[1] then return {'none'} end
keepOrFree(KEYS[1])
if r[4] == ARGV[2] then
  if ARGV[5] == '1' then redis.call('HSET', KEYS[1], 'version', r[6]) end
  return {'done', r[4], ''}
end
local unheard = ''
if ARGV[2] == '' then
  redis.call('HSET', KEYS[1], 'holds', '', 'version', int(r[6] + 1))
  unheard = wake(ARGV[3], ARGV[4])
else
  redis.call('HSET', KEYS[1], 'owner', '', 'label', '', 'holds', ARGV[2], 'version', int(r[6] + 1))
end
return {'done', ARGV[2], unheard}
`)

/** Records of any number of keys. ARGV: whether only of those that are held. What is no record of ours is passed over. */
export const get = script(`
local out = {int(now)}
for i, key in ipairs(KEYS) do
  local r = redis.pcall('HMGET', key, ${quoted})
  if r.err or not r[2] or (ARGV[1] == '1' and not newer(r) and not live(r)) then r = {} end
  out[i + 1] = r
end
return out
`)

/** ARGV: the age in microseconds. */
export const purge = script(`
local old = {}
for _, key in ipairs(KEYS) do
  local r = redis.pcall('HMGET', key, 'format', 'expires')
  if not r.err and r[1] and tonumber(r[1]) <= ${LockRecord.format} and tonumber(r[2]) < now - ARGV[1] then table.insert(old, key) end
end
if #old > 0 then redis.call('DEL', unpack(old)) end
return #old
`)

/** KEYS only says which node of a cluster is asked. */
export const time = script(`return int(now)`)

export const create = script(`
if redis.call('EXISTS', KEYS[1]) == 1 then return {0} end
${writeAll("KEYS[1]", "ARGV")}
return {1, ''}
`)

const after = fieldNames.length

/** ARGV: the fields, the expected version, channel, lock id. Wakes waiters when a hold went out. What brings no hold in keeps or frees. */
export const update = script(`
local r = redis.call('HMGET', KEYS[1], 'version', 'holds')
if r[1] ~= ARGV[${after + 1}] then return {0} end
if #ARGV[4] <= #r[2] then keepOrFree(KEYS[1]) end
${writeAll("KEYS[1]", "ARGV")}
local unheard = ''
if #ARGV[4] < #r[2] then unheard = wake(ARGV[${after + 2}], ARGV[${after + 3}]) end
return {1, unheard}
`)

/** ARGV: the expected version. */
export const drop = script(`
if redis.call('HGET', KEYS[1], 'version') ~= ARGV[1] then return {0} end
redis.call('DEL', KEYS[1])
return {1, ''}
`)
