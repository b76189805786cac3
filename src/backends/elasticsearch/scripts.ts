/**
 * What each operation does to a document, as scripts that the server runs on it where the primary of its shard is. `LockRecord.step` says what they must do.
 *
 * The texts are constant, for a server compiles only so many new ones in a time. Whatever changes nothing is a `none`: nothing is stored, and the answer still has the document as the
 * script left it, with `now`. `Math.max` is that of doubles, exact up to 2^53, and would store them as such. The clock is that of the system: `ctx._now` is up to 200 ms behind it.
 */
import * as LockRecord from "../../LockRecord.js"
import type { Json } from "../http/json.js"

const script = (source: string, params: Json): Json => ({ lang: "painless", source, params })

/** `readable`: of this format or an older one, of a lock that goes by this clock, and with the fields of one. Nothing else is touched. `ours`: of no other kind of lock, which is nobody's to renew or to free here. */
const head = `long now = System.currentTimeMillis() * 1000L;
Map s = ctx._source;
boolean changed = false;
boolean readable = (s.format instanceof Integer || s.format instanceof Long) && ((Number) s.format).longValue() <= ((Number) params.format).longValue()
  && (s.expires instanceof Long || s.expires instanceof Integer) && (s.token instanceof Long || s.token instanceof Integer) && (s.version instanceof Long || s.version instanceof Integer)
  && s.holds instanceof List && s.owner instanceof String && s.kind instanceof String && s.data instanceof String;
boolean ours = readable && s.kind == '${LockRecord.exclusive}';
boolean live = readable && !s.holds.isEmpty() && ((Number) s.expires).longValue() > now;
`

const tail = `
if (!changed) { ctx.op = 'none'; }
s.now = now;`

const grown = "s.version = ((Number) s.version).longValue() + 1L;"

const claimText = `${head}if (s.isEmpty() || (readable && !live)) {
  s.token = (long) Math.max((s.token == null ? 0L : ((Number) s.token).longValue()) + 1L, now);
  s.version = s.version == null ? now : ((Number) s.version).longValue() + 1L;
  s.lockId = params.lockId;
  s.kind = '${LockRecord.exclusive}';
  s.format = params.format;
  s.owner = params.owner;
  s.label = params.label;
  s.holds = [params.hold];
  s.began = now;
  s.expires = now + ((Number) params.lease).longValue();
  s.data = '';
  changed = true;
} else if (live && ours && s.owner == params.owner && !s.holds.contains(params.hold)) {
  s.holds.add(params.hold);
  ${grown}
  s.expires = (long) Math.max(((Number) s.expires).longValue(), now + ((Number) params.lease).longValue());
  changed = true;
}${tail}`

const renewText = `${head}if (live && ours && s.holds.contains(params.hold)) {
  ${grown}
  s.expires = (long) Math.max(((Number) s.expires).longValue(), now + ((Number) params.lease).longValue());
  changed = true;
}${tail}`

const releaseText = `${head}if (ours && s.holds.contains(params.hold)) {
  s.holds.remove(s.holds.indexOf(params.hold));
  ${grown}
  changed = true;
}${tail}`

const revokeText = `${head}if (live && ours && ((Number) s.token).longValue() == ((Number) params.token).longValue() && !(params.keep && s.holds.contains(params.revoked))) {
  if (params.keep) { s.owner = ''; s.label = ''; s.holds = [params.revoked]; } else { s.holds = []; }
  ${grown}
  changed = true;
}${tail}`

const readText = `Map s = ctx._source;
ctx.op = 'none';
s.now = System.currentTimeMillis() * 1000L;`

/** The document that says by which clock leases end in this index. Whoever makes it decides. */
const clockText = `Map s = ctx._source;
if (s.isEmpty()) { s.clock = params.clock; s.format = params.format; } else { ctx.op = 'none'; }
s.now = System.currentTimeMillis() * 1000L;`

const { format } = LockRecord

export const claim = ({ holdId, lease, lockId, ownerId, ownerLabel }: LockRecord.Claim): Json =>
  script(claimText, { format, lockId, owner: ownerId, label: ownerLabel ?? "", hold: holdId, lease })

export const renew = ({ holdId, lease }: LockRecord.Renew): Json => script(renewText, { format, hold: holdId, lease })

export const release = ({ holdId }: LockRecord.Release): Json => script(releaseText, { format, hold: holdId })

export const revoke = ({ token, when }: LockRecord.Revoke): Json =>
  script(revokeText, { format, token, keep: when === "leaseEnd", revoked: LockRecord.revokedHold })

export const read: Json = script(readText, {})

export const clock = (value: string): Json => script(clockText, { clock: value, format })
