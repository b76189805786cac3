/** The Lua scripts of the native storage, one for each operation. */
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
 * A server that has reached `maxmemory` refuses commands that may take more of it, HSET among them, but only as the first write of a script. So `keep`, where it is refused, first writes
 * what takes nothing and changes nothing, since no record has an expiry: so holds are renewed and freed by a server that takes no more claims. Without the right to that, it is refused again.
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
local function live(holds, expires)
  return holds ~= '' and tonumber(expires) > now
end
local function newer(format)
  return format and tonumber(format) > ${LockRecord.format}
end
local function ours(kind)
  return kind == '${LockRecord.exclusive}'
end
local function take(key, ...)
  redis.call('HSET', key, ...)
end
local function keep(key, ...)
  local done = redis.pcall('HSET', key, ...)
  if type(done) == 'table' and done.err then
    redis.pcall('PERSIST', key)
    redis.call('HSET', key, ...)
  end
end
local function wake(channel, id)
  if channel == '' then return '' end
  local told = redis.pcall('PUBLISH', channel, id)
  return type(told) == 'table' and told.err or ''
end
local function unreadable(key, format)
  if newer(format) then return {'newer', format} end
  if not format and redis.call('EXISTS', key) == 1 then return {'foreign'} end
end
`

/** Without what is of records. */
export const bare = (text: string): Script => ({ text, sha: createHash("sha1").update(text).digest("hex") })

const script = (body: string): Script => bare(prelude + body)

const writeAll = (write: string, key: string, values: string, more = ""): string =>
  `${write}(${key}, ${fieldNames.map((name, i) => `'${name}', ${values}[${i + 1}]`).join(", ")}${more})`

/** What all requests of `many` share: the channel of hints, where in a key the lock id begins, and whether to write even what is there already, so that its replication can be waited for. */
export const shared = (channel: string, prefix: string, touch: boolean): ReadonlyArray<string> => [
  channel,
  String(Buffer.byteLength(prefix) + 1),
  touch ? "1" : ""
]

export const claimWords = (hold: string, owner: string, lease: number, label: string): ReadonlyArray<string> => [
  `c${hold}`,
  owner,
  String(lease),
  label
]

export const releaseWords = (hold: string): ReadonlyArray<string> => [`r${hold}`]

/**
 * Claims and releases of any number of locks, each as if it came alone, in this order. One key for each. ARGV: what they share, and then the words of each. One that fails has changed nothing, and is answered
 * by `failed`: what comes after it goes on. The error of a single one is the script's.
 *
 * The usual answers are short: a new hold, all of which but three numbers was asked for, and how many holds are left.
 */
export const many = script(`
local channel, idAt, touch = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local function claim(key, at)
  local hold, owner, lease, label = string.sub(ARGV[at], 2), ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local r = read(key)
  local bad = unreadable(key, r[2])
  if bad then return bad end
  local expires = now + lease
  if not r[2] or not live(r[4], r[8]) then
    local token, version = math.max(1, now), math.max(1, now)
    if r[2] then
      token = math.max(r[5] + 1, now)
      version = r[6] + 1
    end
    local began = int(now)
    token, version = int(token), int(version)
    take(key, 'kind', '${LockRecord.exclusive}', 'format', '${LockRecord.format}', 'owner', owner, 'holds', ',' .. hold, 'token', token, 'version', version, 'began', began,
      'expires', int(expires), 'data', '', 'label', label)
    return began .. ' ' .. token .. ' ' .. version
  end
  if r[3] ~= owner or not ours(r[1]) then return {'held', int(now), unpack(r)} end
  if not has(r[4], hold) then
    r[4] = r[4] .. ',' .. hold
    r[6] = int(r[6] + 1)
    r[8] = int(math.max(tonumber(r[8]), expires))
    take(key, 'holds', r[4], 'version', r[6], 'expires', r[8])
  elseif touch ~= '' then
    take(key, 'version', r[6])
  end
  return {'claimed', int(now), unpack(r)}
end
local function release(key, at)
  local hold = string.sub(ARGV[at], 2)
  local r = redis.call('HMGET', key, 'format', 'holds', 'version', 'kind')
  local bad = unreadable(key, r[1])
  if bad then return bad end
  if not r[1] or not ours(r[4]) then return {'none'} end
  local from, to = has(r[2], hold)
  if not from then return {'none'} end
  local holds = string.sub(r[2], 1, from - 1) .. string.sub(r[2], to)
  keep(key, 'holds', holds, 'version', int(r[3] + 1))
  if holds ~= '' then
    local _, left = string.gsub(holds, ',', '')
    return left
  end
  local unheard = wake(channel, string.sub(key, idAt))
  if unheard ~= '' then return {'unheard', unheard} end
  return 0
end
local at, out = 4, {}
for i, key in ipairs(KEYS) do
  local does, words = claim, 4
  if string.sub(ARGV[at], 1, 1) == 'r' then does, words = release, 1 end
  if #KEYS == 1 then return {does(key, at)} end
  local ok, answer = pcall(does, key, at)
  out[i] = ok and answer or {'failed'}
  at = at + words
end
return out
`)

/** One key for each request, which may occur several times. ARGV: hold and lease of each. */
export const renew = script(`
local out = {int(now)}
for i, key in ipairs(KEYS) do
  local hold, lease = ARGV[2 * i - 1], ARGV[2 * i]
  local r = redis.call('HMGET', key, 'format', 'holds', 'version', 'expires', 'kind')
  if newer(r[1]) then
    out[i + 1] = {'newer', r[1]}
  elseif not r[1] then
    out[i + 1] = {'none'}
  elseif not ours(r[5]) or not live(r[2], r[4]) or not has(r[2], hold) then
    out[i + 1] = {'other', unpack(read(key))}
  else
    local expires = int(math.max(tonumber(r[4]), now + lease))
    keep(key, 'version', int(r[3] + 1), 'expires', expires)
    out[i + 1] = {'renewed', expires}
  end
end
return out
`)

/** ARGV: token, what takes the place of the holds, channel, lock id, and whether to write even what is there already. */
export const revoke = script(`
local r = read(KEYS[1])
local bad = unreadable(KEYS[1], r[2])
if bad then return bad end
if not r[2] or not ours(r[1]) or not live(r[4], r[8]) or r[5] ~= ARGV[1] then return {'none'} end
if r[4] == ARGV[2] then
  if ARGV[5] ~= '' then keep(KEYS[1], 'version', r[6]) end
  return {'done', r[4], ''}
end
local unheard = ''
if ARGV[2] == '' then
  keep(KEYS[1], 'holds', '', 'version', int(r[6] + 1))
  unheard = wake(ARGV[3], ARGV[4])
else
  keep(KEYS[1], 'owner', '', 'label', '', 'holds', ARGV[2], 'version', int(r[6] + 1))
end
return {'done', ARGV[2], unheard}
`)

/** Records of any number of keys. ARGV: whether only of those that are held. What is no record of ours is passed over. */
export const get = script(`
local out = {int(now)}
for i, key in ipairs(KEYS) do
  local r = redis.pcall('HMGET', key, ${quoted})
  if r.err or not r[2] or (ARGV[1] == '1' and not newer(r[2]) and not live(r[4], r[8])) then r = {} end
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
${writeAll("take", "KEYS[1]", "ARGV")}
return {1, ''}
`)

const after = fieldNames.length

/**
 * Whose turn it is to write a record, and who waits for that, in a field of it: id, end and whether it has the turn, of each. What is over is passed over, so nobody who died is waited for. A version of before there
 * were turns leaves the field as it is and writes whenever it can.
 */
const turns = `
local function queueOf(text)
  local queue = {}
  for id, ends, has in string.gmatch(text or '', '(%S+) (%d+) (%d)') do
    if tonumber(ends) > now then table.insert(queue, {id, ends, has}) end
  end
  return queue
end
local function without(queue, id)
  local left = {}
  for _, one in ipairs(queue) do
    if one[1] ~= id then table.insert(left, table.concat(one, ' ')) end
  end
  return table.concat(left, ' ')
end
`

/**
 * ARGV: the fields, the expected version, channel, lock id, and the turn by which it writes, if by one. Wakes waiters when a hold went out. What brings no hold in keeps or frees. A turn keeps out who has none: who has had
 * one, and comes late, is let in, so that where all are late somebody still gets on.
 */
export const update = script(`${turns}
local r = redis.call('HMGET', KEYS[1], 'version', 'holds', 'turns')
if r[1] ~= ARGV[${after + 1}] then return {0} end
local write, queue, mine = take, queueOf(r[3]), ARGV[${after + 4}]
if #ARGV[4] <= #r[2] then write = keep end
if mine == '' then
  if queue[1] and queue[1][3] == '1' then return {0} end
  ${writeAll("write", "KEYS[1]", "ARGV")}
else
  ${writeAll("write", "KEYS[1]", "ARGV", ", 'turns', without(queue, mine)")}
end
local unheard = ''
if #ARGV[4] < #r[2] then unheard = wake(ARGV[${after + 2}], ARGV[${after + 3}]) end
return {1, unheard}
`)

/**
 * ARGV: an id, and for how long, in microseconds, it is to have the turn, or its place among those that wait for it. Gives the record, if it has the turn, for which there must be one; asked again, it has it for no
 * longer. Else it gives how many are before it.
 */
export const turn = script(`${turns}
local r = read(KEYS[1])
if not r[2] then
  if redis.call('EXISTS', KEYS[1]) == 1 then return {'foreign'} end
  return {'turn', int(now)}
end
local queue, place = queueOf(redis.call('HGET', KEYS[1], 'turns')), 0
for i, one in ipairs(queue) do
  if one[1] == ARGV[1] then place = i end
end
if place == 0 then
  place = #queue + 1
  queue[place] = {ARGV[1], '0', '0'}
end
local one = queue[place]
if one[3] == '0' then
  one[2] = int(now + ARGV[2])
  if place == 1 then one[3] = '1' end
  keep(KEYS[1], 'turns', without(queue, ''))
end
if place > 1 then return {'wait', place - 1} end
return {'turn', int(now), unpack(r)}
`)

/** ARGV: the id that gives its turn back. */
export const leave = script(`${turns}
local text = redis.call('HGET', KEYS[1], 'turns')
if text and string.find(text, ARGV[1], 1, true) then keep(KEYS[1], 'turns', without(queueOf(text), ARGV[1])) end
return 1
`)

/** ARGV: the expected version. */
export const drop = script(`
if redis.call('HGET', KEYS[1], 'version') ~= ARGV[1] then return {0} end
redis.call('DEL', KEYS[1])
return {1, ''}
`)
