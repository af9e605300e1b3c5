// The properties of the tests, 10,000 times each: see support.ts.
import './bad-input.test.js';
import './checksums.test.js';
import './cursor.test.js';
import './numbers.test.js';
import './growth.test.js';
import './scatter.test.js';
import './placeholder.test.js';
import './bridges.test.js';
import './transfer.test.js';
