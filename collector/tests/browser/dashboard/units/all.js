// Every file of tests, run as one.

import './fleet.js';
import './format.js';
import './jobs.js';
import './keyed.js';
import './machine.js';
import './routing.js';
import './submit.js';
import { runAll } from './check.js';

export const run = runAll;
