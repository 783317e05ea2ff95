// Closed loop on an echo model: each of CONNECTIONS sends again when it was answered.
//
//     source .helixflow/env && k6 run -e CONNECTIONS=32 -e SECONDS=30 benchmarks/k6/echo.js

import { chat, checkWhole, needKey, SECONDS, TRENDS } from './chat.js';

const TOKENS = 16;

export const options = {
  scenarios: {
    echo: {
      executor: 'constant-vus',
      vus: Number(__ENV.CONNECTIONS || 32),
      duration: `${SECONDS}s`,
    },
  },
  summaryTrendStats: TRENDS,
  thresholds: { checks: ['rate==1'], http_req_failed: ['rate==0'] },
};

export const setup = needKey;

export default function () {
  checkWhole(chat(TOKENS), TOKENS);
}
