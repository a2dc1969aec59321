// Fields, limits, hints and rules, as /openapi.json says them.
import { french, locale } from './words.js'

export const SECTIONS = ['client', 'compte', 'demande']
export let api = null // the OpenAPI document
const fields = {}     // name: { name, section, schema }

export async function loadContract() {
  const response = await fetch('/openapi.json')
  if (!response.ok) throw new Error(response.status)
  api = await response.json()
  for (const section of SECTIONS) {
    for (const [name, p] of Object.entries(api.components.schemas[section[0].toUpperCase() + section.slice(1)].properties)) {
      fields[name] = { name, section, schema: p.anyOf?.find(s => s.type !== 'null') ?? p }
    }
  }
}

export const field = name => fields[name]
export const namesOf = section => Object.keys(fields).filter(name => fields[name].section === section)
export const examples = () => api.paths['/simulate'].post.requestBody.content['application/json'].examples

export const label = name => fields[name]?.schema[french() ? 'x-libelle' : 'x-label'] ?? name
export const unit = name => fields[name].schema[french() ? 'x-unite' : 'x-unit']
export const words = (name, code) => fields[name].schema[french() ? 'x-libelles' : 'x-labels'][code] ?? code
export const day = iso => new Date(`${iso}T00:00`).toLocaleDateString(locale(), { dateStyle: 'medium' })

const isCount = schema => schema.type === 'integer' && !['months', 'days'].includes(schema['x-unit']) // the label says of what
export function displayed(name, value) { // a value as a person reads it
  const { schema } = fields[name]
  if (value === null || value === undefined) return '–'
  if (schema.enum) return words(name, value)
  if (schema.format === 'date') return day(value)
  const cents = Number.isInteger(value) || schema.type === 'integer' || name === 'taux_annuel' ? 0 : 2
  return `${value.toLocaleString(locale(), { minimumFractionDigits: cents, maximumFractionDigits: 2 })} ${isCount(schema) ? '' : unit(name)}`.trim()
}
