// Closed loop of streams: STREAMS at once, each of TOKENS tokens, on MODEL.
//
//     source .helixflow/env && k6 run -e MODEL=smollm2-135m-instruct -e STREAMS=8 -e TOKENS=64 \
//         benchmarks/k6/streams.js
//
// k6 hands over an answer when all of it has come, so that times between tokens cannot be seen:
// `first_event` is the time to the first byte of the body, and `tokens` counts what usage says.

import { check } from 'k6';
import { Counter, Trend } from 'k6/metrics';
import { chat, needKey, SECONDS, TRENDS } from './chat.js';

const TOKENS = Number(__ENV.TOKENS || 100);
const firstEvent = new Trend('first_event', true);
const tokens = new Counter('tokens');

export const options = {
  scenarios: {
    streams: {
      executor: 'constant-vus',
      vus: Number(__ENV.STREAMS || 8),
      duration: `${SECONDS}s`,
      gracefulStop: '60s',
    },
  },
  summaryTrendStats: TRENDS,
  thresholds: { checks: ['rate==1'], http_req_failed: ['rate==0'] },
};

export const setup = needKey;

export default function () {
  const response = chat(TOKENS, {
    stream: true,
    stream_options: { include_usage: true },
    temperature: 0,
    // vLLM generates all of its tokens with it; an echo model always does.
    ...(__ENV.IGNORE_EOS === '0' ? {} : { ignore_eos: true }),
  });
  const events = String(response.body || '')
    .split('\n\n')
    .filter((event) => event.startsWith('data: '))
    .map((event) => event.slice('data: '.length));
  const generated = generatedTokens(events);
  const right = check(response, {
    'status is 200': (r) => r.status === 200,
    'ends with [DONE]': () => events[events.length - 1] === '[DONE]',
    'has the tokens': () => generated === TOKENS,
  });
  if (right) {
    firstEvent.add(response.timings.waiting);
    tokens.add(generated);
  }
}

// What the usage event says; 0 where there is none.
function generatedTokens(events) {
  const usage = events.filter((event) => event !== '[DONE]' && event.includes('"usage":{'));
  return usage.length ? JSON.parse(usage[usage.length - 1]).usage.completion_tokens : 0;
}
