/** All but the table. */

const kindWords = { expired: "Expired", revoked: "Revoked", unseen: "Ended unseen", held: "", released: "" }

/** @param {string} id @param {string} state */
const mark = (id, state) => {
  if (part(id).dataset["is"] !== state) part(id).dataset["is"] = state
}

/** Only if it has changed: who reads it there is not disturbed. @param {string} id @param {string} key @param {() => ReadonlyArray<Node>} make */
const fill = (id, key, make) => {
  if (part(id).dataset["key"] === key) return
  part(id).dataset["key"] = key
  part(id).replaceChildren(...make())
}

const renderLost = () => {
  part("lost-none").hidden = store.lost.length > 0
  fill("lost", JSON.stringify(store.lost), () =>
    store.lost.map((change) =>
      element(
        "li",
        {},
        element("span", { class: "kind", "data-is": change.kind }, kindWords[change.kind]),
        element("span", { class: "id" }, shown(change.lockId)),
        element(
          "span",
          { class: "small", title: wholeTime(change.at) },
          `seen at ${clockTime(change.at)}, held by ${holderOf(change)}, token ${change.token}`,
          change.nextToken === undefined ? "" : `; the next holder has token ${change.nextToken}`
        )
      )
    )
  )
}

const renderWaiting = () => {
  const wanted = [...store.locks.values()]
    .filter(({ lock }) => lock.handOvers > 0)
    .sort((a, b) => b.lock.handOvers - a.lock.handOvers)
    .slice(0, 8)
  part("waiting-none").hidden = wanted.length > 0
  fill("waiting", JSON.stringify(wanted.map(({ lock }) => [lock.lockId, lock.handOvers])), () =>
    wanted.map(({ lock }) =>
      element(
        "li",
        {},
        element("span", { class: "id" }, shown(lock.lockId)),
        element("span", { class: "small" }, `went from hold to hold ${counted(lock.handOvers, "time", "times")}`)
      )
    )
  )
}

const renderLatency = () => {
  const { storage } = /** @type {State} */ (store.state)
  put(part("latency"), storage.median === undefined ? "–" : brief(storage.median))
  put(
    part("latency-what"),
    storage.worst === undefined
      ? "for a look at the storage"
      : `for a look at the storage, ${brief(storage.worst)} at worst`
  )
  const top = Math.max(1, ...store.latencies)
  const step = 120 / Math.max(1, store.latencies.length - 1)
  const points = store.latencies.map(
    (millis, index) => `${(index * step).toFixed(1)},${(27 - (26 * millis) / top).toFixed(1)}`
  )
  part("spark").firstElementChild?.setAttribute("points", points.join(" "))
}

/** @param {number} now */
const renderCards = (now) => {
  const all = [...store.locks.values()]
  put(part("count"), String(all.length))
  const oldest = all.reduce(
    (/** @type {Known | undefined} */ one, other) =>
      one === undefined || other.lock.heldFor - other.at > one.lock.heldFor - one.at ? other : one,
    undefined
  )
  put(part("oldest"), oldest === undefined ? "–" : span(oldest.lock.heldFor + now - oldest.at))
  const late = knownHolds().filter((known) => isLate(known, now)).length
  put(part("late"), String(late))
  mark("late-card", late > 0 ? "warn" : "")
  const bad = store.lost.filter(({ kind }) => kind === "expired").length
  put(part("lost-count"), String(store.lost.length))
  mark("lost-card", bad > 0 ? "bad" : store.lost.length > 0 ? "warn" : "")
}

/** Whether what is shown may be out of date, and why. @param {number} now @returns {string | undefined} */
const staleness = (now) => {
  const { storage } = /** @type {State} */ (store.state)
  const age = `What you see here is ${span(now - store.looked)} old.`
  if (store.isAway) return `The console does not answer. It is asked again. ${age}`
  if (storage.status === "starting")
    return `The storage has not answered yet, and is asked again: ${storage.error ?? ""}`
  if (storage.status === "failing")
    return `The storage has not answered since ${clockTime(storage.since)}, and is asked again: ${storage.error ?? ""}. ${age}`
  return undefined
}

/** @param {number} now */
const renderState = (now) => {
  const { state } = store
  if (state === undefined) {
    if (store.isAway) put(part("live"), "The console does not answer")
    return undefined
  }
  const { namespace, storage, version } = state
  put(part("storage"), shown(storage.name) + (namespace === "" ? "" : ` · namespace ${shown(namespace)}`))
  put(part("version"), `storage-lock ${version}`)
  const stale = staleness(now)
  mark("live", stale === undefined ? "live" : "away")
  put(
    part("live"),
    stale === undefined ? "Live" : store.isAway ? "The console does not answer" : "The storage does not answer"
  )
  part("banner").hidden = stale === undefined
  put(part("banner"), stale ?? "")
  document.body.dataset["is"] = stale === undefined ? "" : "stale"
  part("read-only").hidden = state.canWrite
  part("cut").hidden = !state.isCut
  const ahead = storage.clockAhead ?? 0
  put(
    part("clock"),
    Math.abs(ahead) < 1000
      ? "Times are those of the storage's clock, which agrees with this console's as far as it can tell."
      : `Times are those of the storage's clock, which is ${span(Math.abs(ahead))} ${ahead > 0 ? "ahead of" : "behind"} this console's.`
  )
  document.title = `${stale === undefined ? "" : "? "}${counted(store.locks.size, "lock", "locks")} · storage-lock`
  return stale
}
