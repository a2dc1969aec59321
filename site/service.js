// One way to call the service: an answer, or a Refusal that says which kind of trouble it is.

export const TIMEOUT = 15_000 // milliseconds

export const key = {
  get: () => sessionStorage.getItem('key'),
  set: value => sessionStorage.setItem('key', value),
  drop: () => sessionStorage.removeItem('key'),
}

export class Refusal extends Error {
  constructor(kind, details = {}) { super(kind); Object.assign(this, { kind, errors: [], detail: '', wait: null, problem: '' }, details) }
}

const KINDS = { 401: 'keyRefused', 403: 'keyScope', 429: 'tooMany', 503: 'busy' }

export async function ask(path, { body, once, controller = new AbortController() } = {}) {
  const timer = setTimeout(() => controller.abort('timeout'), TIMEOUT), start = performance.now()
  try {
    if (!key.get()) throw new Refusal('keyAsk')
    const response = await fetch(path, { method: body ? 'POST' : 'GET', body, signal: controller.signal, cache: 'no-store',
      headers: { Authorization: `Bearer ${key.get()}`, ...(body && { 'Content-Type': 'application/json' }), ...(once && { 'Idempotency-Key': once }) } })
    const answer = await response.json()
    if (response.ok) return { answer, took: performance.now() - start }
    if (response.status === 401) key.drop()
    throw new Refusal(KINDS[response.status] ?? (answer.errors ? 'problem' : 'failed'),
      { errors: answer.errors ?? [], detail: answer.detail ?? '', problem: answer.type?.split('/').pop() ?? '', wait: Number(response.headers.get('Retry-After')) || null })
  } catch (error) {
    if (error instanceof Refusal) throw error
    if (controller.signal.aborted) throw new Refusal(controller.signal.reason === 'timeout' ? 'timeout' : 'stale')
    throw new Refusal('unreachable')
  } finally { clearTimeout(timer) }
}
