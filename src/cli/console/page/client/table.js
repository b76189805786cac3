/** The locks, a row for each hold. A row stays the same element as long as its hold lasts: focus stays where it is. */

/**
 * @typedef {{
 *   readonly row: HTMLElement, readonly id: HTMLElement, readonly times: HTMLElement, readonly holder: HTMLElement, readonly owner: HTMLElement,
 *   readonly held: HTMLElement, readonly bar: HTMLElement, readonly left: HTMLElement, readonly token: HTMLElement, readonly button: HTMLElement | undefined
 * }} Row
 */

/** @type {Map<string, Row>} */
const rows = new Map()
let isFirst = true

/** @param {string} name @param {string} of @param {ReadonlyArray<Node>} children */
const cell = (name, of, ...children) => element("td", { role: "cell", class: name, "data-of": of }, ...children)

/** @param {KnownHold} known @param {boolean} canWrite @returns {Row} */
const makeRow = ({ key, lock }, canWrite) => {
  const [id, holder] = [element("span", { class: "id" }), element("span", { class: "id" })]
  const [times, owner] = [element("span", { class: "small" }), element("span", { class: "small" })]
  const [held, token, bar, left] = [element("span"), element("span"), element("i"), element("b")]
  const button = canWrite ? element("button", { type: "button", "aria-haspopup": "dialog" }, "Release…") : undefined
  const which = lock.holders === undefined ? "" : `, token ${lock.token}`
  button?.setAttribute("aria-label", `Release ${shown(lock.lockId)}${which}…`)
  button?.addEventListener("click", () => {
    const known = knownHolds().find((one) => one.key === key)
    if (known !== undefined) openDialog(known.lock)
  })
  const row = element(
    "tr",
    { role: "row" },
    cell("lock", "Lock", id, times),
    cell("holder", "Holder", holder, owner),
    cell("held", "Held for", held),
    cell("lease", "Lease", element("span", { class: "line", "aria-hidden": "true" }, bar), left),
    cell("right", "Token", token),
    cell("action", "", ...(button === undefined ? [] : [button]))
  )
  if (!isFirst) row.classList.add("new")
  return { row, id, times, holder, owner, held, bar, left, token, button }
}

/** Less than this part of its lease: a holder that is well has renewed it before. */
const little = 1 / 4

/** @param {KnownHold} known @param {number} now */
const leaseOf = ({ at, lock }, now) => {
  const left = Math.max(0, lock.leaseLeft - (now - at))
  return { left, part: lock.leaseLength === 0 ? 0 : Math.min(1, left / lock.leaseLength) }
}

/** @param {KnownHold} known @param {number} now */
const isLate = (known, now) => !known.lock.isRevoked && leaseOf(known, now).part < little

/** @param {Row} row @param {KnownHold} known @param {number} now */
const fillRow = (row, known, now) => {
  const { at, lock } = known
  const { left, part } = leaseOf(known, now)
  put(row.id, shown(lock.lockId))
  put(
    row.times,
    [
      heldAs(lock),
      lock.lockCount > 1 && lock.holders === undefined ? `entered ${lock.lockCount} times` : "",
      lock.handOvers > 0 ? `changed hands ${counted(lock.handOvers, "time", "times")}` : ""
    ]
      .filter((text) => text !== "")
      .join(", ")
  )
  put(row.holder, holderOf(lock))
  put(row.owner, lock.ownerLabel === "" || lock.ownerId === "" ? "" : shown(lock.ownerId))
  put(row.held, span(lock.heldFor + now - at))
  row.held.title = `since ${wholeTime(lock.lockBeginTime)}`
  row.bar.style.setProperty("--left", part.toFixed(4))
  put(row.left, lock.isRevoked ? `free in ${span(left)}` : left === 0 ? "has run out" : `${span(left)} left`)
  row.left.title = `until ${wholeTime(lock.leaseExpireTime)}`
  put(row.token, String(lock.token))
  const state = lock.isRevoked ? "revoked" : part < little ? "warn" : ""
  if (row.row.dataset["is"] !== state) row.row.dataset["is"] = state
}

/** @param {Hold} lock @param {string} text */
const matches = (lock, text) =>
  text === "" || [lock.lockId, lock.ownerLabel, lock.ownerId].some((of) => of.toLowerCase().includes(text))

/** @param {number} now @param {boolean} canWrite */
const renderTable = (now, canWrite) => {
  const text = input("find").value.trim().toLowerCase()
  const body = part("rows")
  const wanted = knownHolds()
    .filter(({ lock }) => matches(lock, text))
    .sort((a, b) => (a.lock.lockId < b.lock.lockId ? -1 : a.lock.lockId > b.lock.lockId ? 1 : 0))
  const ids = new Set(wanted.map(({ key }) => key))
  for (const [id, { row }] of rows) {
    if (ids.has(id)) continue
    // Else whoever is there by keyboard would be nowhere.
    if (row.contains(document.activeElement)) part("held").focus()
    row.remove()
    rows.delete(id)
  }
  wanted.forEach((known, index) => {
    let row = rows.get(known.key)
    if (row !== undefined && (row.button !== undefined) !== canWrite) {
      row.row.remove()
      row = undefined
    }
    if (row === undefined) {
      row = makeRow(known, canWrite)
      rows.set(known.key, row)
    }
    if (body.children[index] !== row.row) body.insertBefore(row.row, body.children[index] ?? null)
    fillRow(row, known, now)
  })
  isFirst = false
  part("table").hidden = wanted.length === 0
  part("none").hidden = wanted.length > 0
  put(part("none"), store.locks.size === 0 ? "Nobody holds a lock." : "No lock and no holder has this in its name.")
}
