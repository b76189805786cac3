/** Horizontal bars as SVG, readable on light and dark grounds, with the number at each bar. */

export interface Bar {
  readonly label: string
  /** `undefined`: there is no figure, and `text` says why. */
  readonly value: number | undefined
  /** The middle half of what was measured. */
  readonly low?: number
  readonly high?: number
  /** What stands at the bar. */
  readonly text: string
  readonly role: "floor" | "ours" | "peer"
}

export interface Chart {
  /** The finding's subject and its unit. */
  readonly title: string
  /** Which way is better, and under what. */
  readonly subtitle: string
  /** Of which there may be several, one below the other, on one scale each. */
  readonly groups: ReadonlyArray<{ readonly name: string; readonly bars: ReadonlyArray<Bar> }>
  /** A limit, as a line through all bars. */
  readonly mark?: { readonly value: number; readonly text: string }
}

const width = 880
const left = 330
const right = 170
const row = 24
const bar = 14

const escaped = (text: string): string => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)

const style = `
  text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328; }
  .title { font-size: 17px; font-weight: 600; }
  .sub, .group { fill: #59636e; }
  .group { font-weight: 600; }
  .ours { fill: #0969da; } .peer { fill: #8c959f; } .floor { fill: #bf8700; }
  .range { stroke: #1f2328; stroke-width: 1.5; fill: none; }
  text.ours { fill: #0969da; font-weight: 600; }
  .ground { fill: #ffffff; } .axis { stroke: #d1d9e0; } .mark { stroke: #cf222e; stroke-dasharray: 4 3; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .sub, .group { fill: #9198a1; }
    .ours { fill: #4493f8; } .peer { fill: #656c76; } .floor { fill: #d29922; }
    text.ours { fill: #4493f8; }
    .range { stroke: #e6edf3; } .ground { fill: #0d1117; } .axis { stroke: #3d444d; }
  }`

/** Of one group, from `top` on. The longest bar fills the width; a range may end a little beyond, and is cut there. */
const group = ({ bars, name }: Chart["groups"][number], top: number, mark: Chart["mark"]): string => {
  const most = Math.max(...bars.map(({ value }) => value ?? 0), mark?.value ?? 0, Number.MIN_VALUE)
  const x = (value: number): number => left + Math.min(value / most, 1.1) * (width - left - right)
  const rows = bars.map(({ high, label, low, role, text, value }, i) => {
    const y = top + 8 + i * row
    const end = x(value ?? 0)
    const range =
      low === undefined || high === undefined || value === undefined
        ? ""
        : `<path class="range" d="M${x(low).toFixed(1)} ${y + bar / 2}H${x(high).toFixed(1)}"/>`
    return [
      `<text class="${role === "ours" ? "ours" : ""}" x="${left - 8}" y="${y + bar - 2}" text-anchor="end">${escaped(label)}</text>`,
      value === undefined
        ? ""
        : `<rect class="${role}" x="${left}" y="${y}" width="${Math.max(1, end - left).toFixed(1)}" height="${bar}" rx="2"/>${range}`,
      `<text class="${role === "ours" ? "ours" : ""}" x="${(Math.max(end, high === undefined ? 0 : x(high)) + 6).toFixed(1)}" y="${y + bar - 2}">${escaped(text)}</text>`
    ].join("")
  })
  const bottom = top + 8 + bars.length * row - (row - bar) + 4
  const limit =
    mark === undefined
      ? []
      : [
          `<path class="mark" d="M${x(mark.value).toFixed(1)} ${top + 2}V${bottom}"/>`,
          `<text class="sub" x="${x(mark.value).toFixed(1)}" y="${top - 2}" text-anchor="middle">${escaped(mark.text)}</text>`
        ]
  return [
    `<text class="group" x="16" y="${top}">${escaped(name)}</text>`,
    ...limit,
    `<path class="axis" d="M${left} ${top + 4}V${bottom}"/>`,
    ...rows
  ].join("\n")
}

export const svg = ({ groups, mark, subtitle, title }: Chart): string => {
  const filled = groups.filter(({ bars }) => bars.length > 0)
  let top = 86
  const parts = filled.map((one) => {
    const drawn = group(one, top, mark)
    top += one.bars.length * row + 38
    return drawn
  })
  const height = top - 16
  const legend = [
    ["ours", "this library"],
    ["peer", "other libraries"],
    ["floor", "bare driver"]
  ]
    .filter(([role]) => filled.some(({ bars }) => bars.some((one) => one.role === role)))
    .map(
      ([role, text], i) =>
        `<rect class="${role}" x="${16 + i * 130}" y="52" width="10" height="10" rx="2"/><text class="sub" x="${30 + i * 130}" y="61">${text}</text>`
    )
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escaped(title)}">
<style>${style}
</style>
<rect class="ground" width="${width}" height="${height}" rx="6"/>
<text class="title" x="16" y="24">${escaped(title)}</text>
<text class="sub" x="16" y="42">${escaped(subtitle)}</text>
${legend.join("")}
${parts.join("\n")}
</svg>
`
}
