/** What is known, as the server tells it. */

/** @typedef {import("../../model.js").State} State */
/** @typedef {import("../../model.js").Look} Look */
/** @typedef {import("../../model.js").Lock} Held */
/** @typedef {import("../../model.js").Change} Change */

/** One hold of a lock, with what is the same of all. @typedef {Held & import("../../model.js").Holder} Hold */
/** When it was so, by `performance.now()`. @typedef {{ readonly lock: Held, readonly at: number }} Known */
/** @typedef {{ readonly lock: Hold, readonly at: number, readonly key: string }} KnownHold */

const store = {
  /** @type {State | undefined} */
  state: undefined,
  /** @type {Map<string, Known>} */
  locks: new Map(),
  /** @type {ReadonlyArray<Change>} */
  lost: [],
  /** @type {ReadonlyArray<number>} */
  latencies: [],
  /** The server itself does not answer. */
  isAway: false,
  /** When the storage answered last, by `performance.now()`. */
  looked: 0,
  heard: 0
}

/** Each hold by itself: of a lock that several may hold there are many. @returns {Array<KnownHold>} */
const knownHolds = () =>
  [...store.locks.values()].flatMap(({ at, lock }) =>
    lock.holders === undefined
      ? [{ at, key: lock.lockId, lock }]
      : lock.holders.map((holder) => ({ at, key: `${holder.token} ${lock.lockId}`, lock: { ...lock, ...holder } }))
  )

const losses = new Set(["expired", "revoked", "unseen"])

/** @param {State} state */
const takeState = (state) => {
  const now = performance.now()
  const { lastLook } = state.storage
  store.looked = lastLook === undefined ? now : now - Math.max(0, Date.parse(state.at) - Date.parse(lastLook))
  store.state = state
  store.locks = new Map(state.locks.map((lock) => [lock.lockId, { lock, at: store.looked }]))
  store.lost = state.lost
  store.latencies = state.latencies
}

/** @param {Look} look */
const takeLook = (look) => {
  const { state } = store
  if (state === undefined) return
  const now = performance.now()
  if (look.storage.status === "ok") {
    store.looked = now
    if (look.storage.latency !== undefined && look.storage.looks > state.storage.looks)
      store.latencies = [...store.latencies, look.storage.latency].slice(-120)
  }
  store.state = { ...state, storage: look.storage, isCut: look.isCut }
  for (const lock of look.set) store.locks.set(lock.lockId, { lock, at: now })
  for (const lockId of look.gone) store.locks.delete(lockId)
  const lost = look.changes.filter(({ kind }) => losses.has(kind))
  if (lost.length === 0) return
  store.lost = [...lost.reverse(), ...store.lost].slice(0, 50)
  say(`Lost: ${lost.map(({ lockId }) => shown(lockId)).join(", ")}`)
}

/** To those who listen to the page. @param {string} text */
const say = (text) => put(part("said"), text)

/** @param {() => void} render */
const follow = (render) => {
  const source = new EventSource("events")
  /** @param {(data: any) => void} take @returns {(event: MessageEvent) => void} */
  const heard = (take) => (event) => {
    store.isAway = false
    store.heard = performance.now()
    take(JSON.parse(event.data))
    render()
  }
  source.addEventListener("state", heard(takeState))
  source.addEventListener("look", heard(takeLook))
  /** @type {number | undefined} */
  let again
  const restart = () => {
    source.close()
    clearInterval(silent)
    again ??= setTimeout(() => follow(render), 2000)
  }
  source.addEventListener("error", () => {
    store.isAway = true
    render()
    // A browser goes on by itself after a broken connection, and not after an answer that it did not want.
    if (source.readyState === EventSource.CLOSED) restart()
  })
  store.heard = performance.now()
  // A machine that slept may not notice that nobody is there any more.
  const silent = setInterval(() => {
    if (performance.now() - store.heard > 45_000) restart()
  }, 5000)
}
