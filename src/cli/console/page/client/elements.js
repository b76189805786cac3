/** Elements, and texts for people. Whatever comes from a lock is put in as text. */

/** @param {string} id @returns {HTMLElement} */
const part = (id) => /** @type {HTMLElement} */ (document.getElementById(id))

/** @param {string} id @returns {HTMLInputElement} */
const input = (id) => /** @type {HTMLInputElement} */ (document.getElementById(id))

/** @param {Element} element @param {string} text */
const put = (element, text) => {
  if (element.textContent !== text) element.textContent = text
}

/**
 * @param {string} tag
 * @param {Record<string, string>} attributes
 * @param {ReadonlyArray<Node | string>} children
 */
const element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
  made.append(...children)
  return made
}

/**
 * Ids may hold anything: what cannot be seen, or turns the text around, is spelt out.
 *
 * @param {string} text
 */
const shown = (text) =>
  text.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu,
    (one) => `\\u{${/** @type {number} */ (one.codePointAt(0)).toString(16)}}`
  )

/** @param {number} count @param {string} one @param {string} many */
const counted = (count, one, many) => `${count} ${count === 1 ? one : many}`

/**
 * As short as it can be read: the two largest units.
 *
 * @param {number} millis
 */
const span = (millis) => {
  const seconds = Math.max(0, Math.floor(millis / 1000))
  const [minutes, hours, days] = [Math.floor(seconds / 60), Math.floor(seconds / 3600), Math.floor(seconds / 86400)]
  if (days > 0) return `${days} d ${hours % 24} h`
  if (hours > 0) return `${hours} h ${minutes % 60} min`
  if (minutes > 0) return `${minutes} min ${seconds % 60} s`
  return `${seconds} s`
}

/** @param {number} millis */
const brief = (millis) =>
  millis < 10
    ? `${millis.toFixed(1)} ms`
    : millis < 1000
      ? `${Math.round(millis)} ms`
      : `${(millis / 1000).toFixed(1)} s`

/** @param {string} iso */
const clockTime = (iso) =>
  new Date(iso).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" })

/** @param {string} iso */
const wholeTime = (iso) => `${new Date(iso).toLocaleString()} (${iso})`

/** As what somebody has a lock that others may have, too. @param {{ readonly mode?: string | undefined, readonly permits?: number | undefined }} of */
const heldAs = ({ mode, permits }) =>
  permits !== undefined
    ? counted(permits, "permit", "permits")
    : mode === undefined
      ? ""
      : mode === "upgradable"
        ? "reads, may write"
        : `${mode}s`

/** @param {{ readonly ownerId: string, readonly ownerLabel: string }} of */
const holderOf = ({ ownerId, ownerLabel }) =>
  ownerId === "" ? "revoked" : shown(ownerLabel === "" ? ownerId : ownerLabel)
