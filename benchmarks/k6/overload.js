// Open loop: requests arrive at a rate, whatever the answers do. Below capacity, at twice of it, and
// below it again. CAPACITY is what MODEL can answer in a second.
//
//     source .helixflow/env && k6 run -e MODEL=echo-paced -e CAPACITY=160 benchmarks/k6/overload.js
//
// A refusal is right if it says when to come back. `admitted` is the latency of requests that were
// answered, `refused` that of refusals, each by phase.

import { check } from 'k6';
import exec from 'k6/execution';
import http from 'k6/http';
import { Trend } from 'k6/metrics';
import { chat, needKey, SECONDS, TRENDS } from './chat.js';

const CAPACITY = Number(__ENV.CAPACITY || 160);
const TOKENS = Number(__ENV.TOKENS || 10);
const admitted = new Trend('admitted', true);
const refused = new Trend('refused', true);

http.setResponseCallback(http.expectedStatuses(200, 429, 503));

function phase(share, number) {
  return {
    executor: 'constant-arrival-rate',
    rate: Math.round(share * CAPACITY),
    timeUnit: '1s',
    duration: `${SECONDS}s`,
    startTime: `${number * (SECONDS + 1)}s`,
    preAllocatedVUs: 128,
    maxVUs: 1024,
    gracefulStop: '10s',
  };
}

export const options = {
  scenarios: { below: phase(0.8, 0), flood: phase(2.0, 1), after: phase(0.8, 2) },
  summaryTrendStats: TRENDS,
  thresholds: {
    checks: ['rate==1'],
    http_req_failed: ['rate==0'],
    // Named, so that the summary shows them apart.
    'admitted{phase:below}': ['max>=0'],
    'admitted{phase:flood}': ['max>=0'],
    'admitted{phase:after}': ['max>=0'],
    'refused{phase:flood}': ['p(99)<50'],
  },
};

export const setup = needKey;

export default function () {
  const tags = { phase: exec.scenario.name };
  const response = chat(TOKENS);
  if (response.status === 200) {
    check(response, {
      'has the tokens': (r) => r.json('usage.completion_tokens') === TOKENS,
    });
    admitted.add(response.timings.duration, tags);
  } else {
    check(response, {
      'a refusal says when to come back': (r) =>
        (r.status === 429 || r.status === 503) && Boolean(r.headers['Retry-After']),
    });
    refused.add(response.timings.duration, tags);
  }
}
