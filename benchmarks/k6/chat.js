// What the scripts beside this one share: where requests go, what is sent, what a right answer is.
// OPENAI_BASE_URL and OPENAI_API_KEY are those of the OpenAI client (`source .helixflow/env`).

import { check, fail } from 'k6';
import http from 'k6/http';

const BASE = (__ENV.OPENAI_BASE_URL || 'http://127.0.0.1:8000/v1').replace(/\/$/, '');
const KEY = __ENV.OPENAI_API_KEY || '';
const PROMPT = 'The quick brown fox jumps over the lazy dog and runs away again';

export const MODEL = __ENV.MODEL || 'echo-1';
export const SECONDS = Number(__ENV.SECONDS || 30);
export const TRENDS = ['min', 'med', 'avg', 'p(90)', 'p(99)', 'max'];

export function needKey() {
  if (!KEY) {
    fail('OPENAI_API_KEY is not set: run `source .helixflow/env` first');
  }
}

// One chat request for exactly `tokens` tokens; `more` goes into its body.
export function chat(tokens, more = {}) {
  const body = {
    model: MODEL,
    messages: [{ role: 'user', content: PROMPT }],
    max_tokens: tokens,
    ...more,
  };
  return http.post(`${BASE}/chat/completions`, JSON.stringify(body), {
    headers: { Authorization: `Bearer ${KEY}`, 'Content-Type': 'application/json' },
    timeout: '120s',
    tags: { name: 'chat' },
  });
}

// Whether a whole answer is right: its status, a choice, and as many tokens as were asked for.
export function checkWhole(response, tokens) {
  return check(response, {
    'status is 200': (r) => r.status === 200,
    'has a choice': (r) => r.status === 200 && r.json('choices.#') === 1,
    'has the tokens': (r) => r.status === 200 && r.json('usage.completion_tokens') === tokens,
  });
}
