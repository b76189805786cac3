/** Here, so that packages are looked for in this folder, and then in those above it. */
export const load = (name) => import(name)
